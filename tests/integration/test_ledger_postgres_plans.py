"""Every query of the ledger uses an index on PostgreSQL, with empty and with full tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from typing import Any

import pytest
from psycopg import Connection

from actors.commands.accounts import Account
from actors.commands.deliveries import ListDeliveries
from actors.commands.events import ListEvents
from actors.commands.messages import ListMessages
from actors.ledger import profile_people, profile_projection, replays
from actors.ledger.access import store
from actors.ledger.erasure import history_search, profile_families
from actors.ledger.erasure import reports as erased_reports
from actors.ledger.erasure.steps import histories, idempotency
from actors.ledger.export import events as exported_events
from actors.ledger.export import messages as exported_messages
from actors.ledger.export import profiles as exported_profiles
from actors.ledger.export import reports as exported_reports
from actors.ledger.export import status as exported_status
from actors.ledger.postgres import outbox, outcomes, reader
from actors.ledger.postgres.binary_arrays import Blobs, Numbers, Texts, Uuids
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.dialect import POSTGRES
from actors.ledger.queries import (
    access,
    deliveries,
    delivery_index,
    events,
    hot_path,
    loops,
    messages,
    profiles,
    recipients,
    reports,
    statistics,
)
from actors.ledger.queries import replays as replay_queries
from actors.ledger.queries.pagination import encode_cursor
from actors.ledger.retention import personal_sweeps, report_sweeps, sweeps
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.values import DeliveryState
from tests.contract.postgres_store import TEMPLATE
from tests.postgres import PostgresServer

ACCOUNT = Account(no=1, id="acc", name="Acme")
#: Tables with one or two rows.
SHORT = {"meta", "delivery_ids", "writer"}
SOME = Numbers(range(250))
IDS = Uuids([bytes(16)] * 3)
START = bytes(16).hex()
TYPES = {int: "bigint", Numbers: "bigint[]", Uuids: "uuid[]", Texts: "text[]", Blobs: "bytea[]"}

FULL = """
    INSERT INTO accounts SELECT n, 'acc_' || n, '', 0 FROM generate_series(1, 2000) AS n;
    INSERT INTO api_keys SELECT 'h' || n, n, n, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO api_key_uses SELECT 'h' || n, n FROM generate_series(1, 4000) AS n;
    INSERT INTO users SELECT 'u' || n, n, n || '@example.com', '', n FROM generate_series(1, 4000) AS n;
    INSERT INTO sessions SELECT 's' || n, 'u' || n, n, n FROM generate_series(1, 4000) AS n;
    INSERT INTO sign_in_tries SELECT 't' || n, 1, n FROM generate_series(1, 4000) AS n;
    INSERT INTO event_minutes SELECT n % 3, n, 1, 5 FROM generate_series(1, 4000) AS n;
    INSERT INTO loops SELECT n, 'fl_' || n, n % 3, 'active', '{}', (n % 10 = 0)::int FROM generate_series(1, 2000) AS n;
    INSERT INTO loop_health SELECT n, 'closed', NULL, NULL, NULL, 0, NULL FROM generate_series(1, 2000) AS n;
    INSERT INTO stored_events (originator_id, originator_version, topic, state)
        SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 'tracking-event.recorded', '' FROM generate_series(1, 20000) AS n;
    INSERT INTO events SELECT n % 3, lpad(to_hex(n), 32, '0')::uuid, n % 2 + 1, n FROM generate_series(1, 20000) AS n;
    INSERT INTO deliveries SELECT n, n % 4, lpad(to_hex(n), 32, '0')::uuid, n % 2 + 1,
        CASE WHEN n < 15000 THEN 1 ELSE 0 END, 1, n, n, 0 FROM generate_series(1, 20000) AS n;
    INSERT INTO attempts SELECT n, 1, n, 5, 200, NULL, '', NULL, 0 FROM generate_series(1, 15000) AS n;
    INSERT INTO messages SELECT n, n % 3, 'm' || n, 'p' || n || '@example.com', '[]',
        CASE WHEN n % 2 = 0 THEN 'm' || n % 40 END, NULL, NULL, n, 'r' || n, 'p' || n || '@example.com', NULL, '[]'
        FROM generate_series(1, 20000) AS n;
    INSERT INTO message_tags SELECT n % 3, 't' || n % 10, n FROM generate_series(1, 20000) AS n;
    INSERT INTO revoked_api_keys SELECT 'v' || n, n, n FROM generate_series(1, 4000) AS n;
    INSERT INTO reports SELECT n % 3, lpad(to_hex(n), 32, '0')::uuid, n % 5 + 1, 'api', 'failure', 1, 0, NULL
        FROM generate_series(1, 20000) AS n;
    INSERT INTO report_digests SELECT decode(lpad(to_hex(n), 64, '0'), 'hex'), lpad(to_hex(n), 32, '0')::uuid
        FROM generate_series(1, 20000) AS n;
    INSERT INTO first_hits SELECT n, 0 FROM generate_series(1, 10000) AS n;
    INSERT INTO profiles SELECT 1, '1', n::text, lpad(to_hex(n), 32, '0')::uuid, 0, 0, '[]', '{}'
        FROM generate_series(1, 10000) AS n;
    INSERT INTO profile_streams SELECT lpad(to_hex(n), 32, '0')::uuid, 1, '1', n::text, 1
        FROM generate_series(1, 10000) AS n;
    INSERT INTO profile_addresses SELECT 1, 'p' || n, lpad(to_hex(n), 32, '0')::uuid
        FROM generate_series(1, 10000) AS n;
    INSERT INTO erasures (no, id, account_no, digest, person, requested_at_ms, keep_opt_out, step, completed_at_ms)
        SELECT n, 'e' || n, n % 3, decode(lpad(to_hex(n), 64, '0'), 'hex'), '', n, 0, 'bytes',
        CASE WHEN n % 50 > 0 THEN n END FROM generate_series(1, 4000) AS n;
    INSERT INTO erasure_keys SELECT n % 500, n, 0 FROM generate_series(1, 10000) AS n;
    INSERT INTO erasure_histories SELECT n % 500, lpad(to_hex(n), 32, '0')::uuid, 1, 1, 1, 1
        FROM generate_series(1, 10000) AS n;
    INSERT INTO idempotency_messages SELECT '1', 'k' || n, n FROM generate_series(1, 10000) AS n;
    INSERT INTO subprofiles SELECT 1, '1', (n % 100)::text, 'c', n::text, lpad(to_hex(n), 32, '0')::uuid, 0, 0, '[]',
        '{}' FROM generate_series(1, 10000) AS n;
    ANALYZE
"""


#: A hundred rows each: the server plans frequent statements soon after the start, and keeps the plans.
FEW = re.sub(r"\(1, \d+\)", "(1, 100)", FULL)


@pytest.fixture(scope="module", params=["new", "few", "full"])
def connection(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Connection[Any]]:
    with closing(open_writer(postgres.new_database(TEMPLATE))) as made:
        if request.param != "new":
            made.cursor().execute({"few": FEW, "full": FULL}[request.param], prepare=False)
        yield made


class Step(dict[str, Any]):
    """A node of a query plan."""

    @property
    def table(self) -> str:
        return str(self.get("Relation Name", ""))

    @property
    def index(self) -> str:
        return str(self.get("Index Name", ""))


def plan(connection: Connection[Any], statement: str, params: Sequence[object]) -> list[Step]:
    """The plan's nodes, each before those that it reads from.

    For a statement with a kept plan, this is the generic plan.
    """
    if statement.startswith("{often}"):
        return kept_plan(connection, statement, params)
    found = connection.execute(f"EXPLAIN (FORMAT JSON, COSTS OFF) {statement}", params).fetchone()
    assert found is not None
    return list(nodes(found[0][0]["Plan"]))


def kept_plan(connection: Connection[Any], statement: str, params: Sequence[object]) -> list[Step]:
    types = ", ".join(TYPES[type(param)] for param in params)
    look = connection.cursor()
    look.execute("SET plan_cache_mode = force_generic_plan", prepare=False)
    look.execute(f"PREPARE look ({types}) AS {statement.removeprefix('{often}')}", prepare=False)
    look.execute(f"EXPLAIN (FORMAT JSON, COSTS OFF) EXECUTE look ({', '.join(['NULL'] * len(params))})", prepare=False)
    [(found,)] = look.fetchall()
    look.execute("DEALLOCATE look", prepare=False)
    look.execute("RESET plan_cache_mode", prepare=False)
    return list(nodes(found[0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[Step]:
    yield Step(node)
    for child in node.get("Plans", []):
        yield from nodes(child)


def scans(steps: Sequence[Step]) -> list[Step]:
    """The steps that read a whole table, or a whole index because there is no condition on it."""
    whole = [s for s in steps if s["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"} and s.table not in SHORT]
    # The condition of a partial index is in the index itself.
    partial = {"loops_deleted"}
    bounded = {"Limit"} & {s["Node Type"] for s in steps}
    indexes = [
        s
        for s in steps
        if s["Node Type"].startswith("Index") and "Index Cond" not in s and not bounded and s.index not in partial
    ]
    return whole + indexes


def test_a_scan_would_be_seen(connection: Connection[Any]) -> None:
    """The check detects a query that reads a whole table."""
    assert scans(plan(connection, "SELECT * FROM deliveries WHERE attempts = $1", [1]))


FIXED: dict[str, tuple[str, list[object]]] = {
    "events_of": (hot_path.EVENTS_OF, [START]),
    "messages": (hot_path.MESSAGES, [SOME]),
    "profiles": (reader.PROFILES, [SOME, Texts(["1"] * 250), Texts(["2"] * 250)]),
    "taken_firsts": (outbox.TAKEN, [SOME, SOME]),
    "loops_owed": (hot_path.LOOPS_OWED, [IDS]),
    "due": (hot_path.DUE_DELIVERIES, [1, 19_000, SOME, 250]),
    "in order": (hot_path.PENDING_IN_ORDER, [1, SOME, 250]),
    "one": (hot_path.PENDING_ONE, [1, 1]),
    "has failed": (hot_path.HAS_FAILED, [1]),
    "next_due": (hot_path.NEXT_DUE, [1]),
    "account": (access.ACCOUNT_BY_KEY, ["x"]),
    "user": (access.USER, ["x"]),
    "user by address": (access.USER_BY_EMAIL, ["x"]),
    "users": (access.USERS_OF_ACCOUNT, [1, 50]),
    "session": (access.SESSION, ["x"]),
    "account by id": (access.ACCOUNT, ["x"]),
    "keys": (access.API_KEYS, [1, 50]),
    "key's use": (access.API_KEY_USE, ["x"]),
    "old sessions": (store.OLD_SESSIONS, [100, 10]),
    "old tries": (store.OLD_TRIES, [100, 10]),
    "sessions of": (store.OTHER_SESSIONS, ["x", "y"]),
    "event minutes": (statistics.EVENT_MINUTES, [1, 3_900]),
    "backlog": (statistics.BACKLOG, [1, 100]),
    "deliveries of event": (statistics.DELIVERIES_OF_EVENT, [START, 1, 50]),
    "delivery counts": (statistics.DELIVERY_COUNTS, [IDS]),
    "loop": (loops.LOOP, ["x"]),
    "loop by number": (loops.LOOP_BY_NO, [1]),
    "loops": (loops.LOOPS_OF_ACCOUNT, [1, 0, 50]),
    "message": (messages.MESSAGE, [1, "x"]),
    "history": (messages.HISTORY, [1, 1, 1000]),
    "profile": (profiles.PROFILE, [1, "1", "2"]),
    "subprofile": (profiles.SUBPROFILE, [1, "1", "2", "c", "3"]),
    "subprofile keys": (profiles.SUBPROFILE_KEYS, [1, "1", "2"]),
    "stored profile": (profiles.STORED_PROFILE, [START]),
    "stored subprofile": (profiles.STORED_SUBPROFILE, [START]),
    "has subprofiles": (profile_projection.HAS_SUBPROFILES, [1, "1", "2"]),
    "accounts": (access.ACCOUNTS, [0, 50]),
    "attempts": (deliveries.ATTEMPTS, [SOME]),
    "delivery": (deliveries.DELIVERY, [1, 1]),
    "known events": (outbox.KNOWN, [IDS]),
    "backlogs": (statistics.BACKLOGS, []),
    "pending": (hot_path.PENDING_COUNT, [1, 19_000, 1000]),
    "health": (hot_path.HEALTH, [1]),
    "running replay": (replay_queries.RUNNING, [1]),
    "replay": (replay_queries.REPLAY, [1, 1]),
    "replays": (replay_queries.REPLAYS, [1, 99, 50]),
    "give back": (replays.REQUEUE, [1, SOME]),
    "outcomes": (
        outcomes.RECORD_OUTCOMES,
        [*[SOME] * 5, *[Texts(["x"] * 250)] * 3, *[SOME] * 4, Texts(["x"] * 250)],
    ),
    "family of a person": (profile_families.NEXT_FAMILY.format(account="c.no = $1"), [1, "p1", 1, 0, "", ""]),
    "profile of a family": (profile_families.PROFILE, [1, "1", "2"]),
    "subprofiles of a family": (profile_families.SUBPROFILES, [1, "1", "2"]),
    "streams of a family": (profile_families.STREAMS, [1, "1", "2", "p1"]),
    "erased message that names a profile": (profile_families.OWN_MESSAGE, [1, "1", "2", 1, 0]),
    "message to others that names a profile": (profile_families.OTHERS_MESSAGE, [1, "1", "2", "p1"]),
    "events of a profile": (history_search.EVENTS, [-7, START, 100]),
    "messages that name a profile": (history_search.NAMING_MESSAGES, [1, "1", "2", 0, 200]),
    "history of a profile": (profile_people.HISTORY_PAGE, [START, 0, 500]),
    "next history to redact": (histories.NEXT_HISTORY, [1]),
    **{
        f"searched reports {number}": (query, [1, START, "f" * 32, 20])
        for number, query in enumerate(erased_reports.SEARCHED)
    },
    "answers about erased messages": (idempotency.ANSWERS, [1, 1, 100]),
    "old deliveries": (sweeps.OLD_DELIVERIES, [0, 9000, 9000, 500]),
    "drop deliveries": (sweeps.DROP_DELIVERIES, [SOME]),
    "drop attempts": (sweeps.DROP_ATTEMPTS, [SOME]),
    "old attempts": (sweeps.OLD_ATTEMPTS, [0, 0, 9000, 9000, 500]),
    "old events": (sweeps.OLD_EVENTS, [START, "f" * 32, "tracking-event.recorded", 500]),
    "old replays": (sweeps.OLD_REPLAYS, [0, 9000, 500]),
    "needed events": (sweeps.NEEDED, [IDS]),
    "expired keys": (sweeps.EXPIRED_KEYS, [9, 500]),
    "old reports": (report_sweeps.OLD_REPORTS, [START, "f" * 32, 500]),
    "awaited reports": (report_sweeps.AWAITED, [IDS]),
    "old digests": (report_sweeps.OLD_DIGESTS, ["f" * 32, 500]),
    "old messages": (personal_sweeps.OLD_MESSAGES, [0, 9000, 500]),
    "drop messages": (personal_sweeps.DROP_MESSAGES, [SOME]),
    "old mails": (personal_sweeps.OLD_MAILS, [START, "f" * 32, "tracking-event.mail-kept", 500]),
    "superseded data": (personal_sweeps.SUPERSEDED, [9, 500]),
    **{f"count of {name}": (query, [1, "p5@example.com", 100]) for name, query in recipients.COUNTS.items()},
    "exported messages": (exported_messages.MESSAGES_OF, [1, "p5@example.com", 0, 10]),
    "exported events": (exported_events.EVENTS_OF, [1, 1, START, 20]),
    "exported deliveries": (exported_events.DELIVERIES_OF, [IDS]),
    "profiles that messages name": (exported_profiles.NAMED_BY_MESSAGES, [1, "p5@example.com", "", ""]),
    "profiles with an address": (exported_profiles.WITH_ADDRESS, [1, "p5@example.com", "", ""]),
    "members of a profile": (exported_profiles.MEMBERS, [1, "1", "2"]),
    "next version": (exported_profiles.NEXT_VERSION, [START, 0]),
    "exported reports": (exported_reports.REPORTS_AFTER, [1, 2, START, 20]),
    "exported events of reports": (exported_reports.EVENTS, [1, START]),
    "opt-out": (exported_status.OPT_OUT, [1, b"x"]),
    "running erasures": (exported_status.RUNNING, [Numbers([0, 1]), b"x"]),
    "known digests": (outbox.KNOWN_DIGESTS, [Blobs([b"x"] * 250)]),
    "message keys by id": (reader.MESSAGE_KEYS["id"], [SOME, Texts(["m1"] * 250)]),
    "message keys by reference": (reader.MESSAGE_KEYS["reference"], [SOME, Texts(["r1"] * 250)]),
    "message of reference": (messages.ID_OF_REFERENCE, [1, "r1"]),
    "revoked or valid key": (hot_path.API_KEY, ["x"]),
    "has digest": (hot_path.HAS_DIGEST, [b"x"]),
    "kept mail": (hot_path.KEPT_MAIL, [START]),
    "report": (reports.REPORT, [1, START]),
    "reports": (reports.REPORTS, [1, START, 50]),
    "reports in a state": (reports.REPORTS_IN_STATE, [1, START, 50, 2]),
    "reports of a millisecond": (reports.REPORTS_WITH_MORE, [1, START, START, 100]),
}


@pytest.mark.parametrize("name", FIXED)
def test_look_ups_search(connection: Connection[Any], name: str) -> None:
    """No look-up reads a whole table."""
    assert scans(plan(connection, *FIXED[name])) == []


@pytest.mark.parametrize(
    ("name", "index"),
    [("due", "deliveries_due"), ("in order", "deliveries_pending"), ("replays", "replays_of_loop")],
)
def test_the_next_deliveries_are_read_in_order(connection: Connection[Any], name: str, index: str) -> None:
    """The outbox is read in index order: no backlog is sorted to find the next deliveries."""
    steps = plan(connection, *FIXED[name])
    limit = next(n for n, step in enumerate(steps) if step["Node Type"] == "Limit")

    assert next(s.index for s in steps[limit + 1 :] if s.table in {"deliveries", "replays"}) == index
    assert steps[limit + 1]["Node Type"].startswith("Index")


@pytest.mark.parametrize(
    ("type_", "message", "recipient"), list(product((None, "open"), (None, "m5"), (None, "p5@example.com")))
)
def test_events_are_listed_by_index(
    connection: Connection[Any], type_: str | None, message: str | None, recipient: str | None
) -> None:
    """Each combination of filters searches an index; a page of all events needs no sorting."""
    query = ListEvents(account=ACCOUNT, type=type_, message_id=message, recipient=recipient, since_ms=0, until_ms=2)
    steps = plan(connection, *events.events_statement(query, POSTGRES))
    (step,) = [s for s in steps if s.table == "events"]

    assert scans(steps) == []
    assert "Index Cond" in step
    if not message and not recipient:
        assert step.index == ("events_of_type" if type_ else "events_pkey")
        limit = next(n for n, s in enumerate(steps) if s["Node Type"] == "Limit")
        assert steps[limit + 1].table == "events"


@pytest.mark.parametrize("filters", list(product((None, "p5@example.com"), (None, "t1"), (None, "m2"))))
def test_messages_are_listed_by_index(connection: Connection[Any], filters: tuple[str | None, ...]) -> None:
    """Each combination of filters reads an index from the page's start; no list is read whole."""
    recipient, tag, mailing = filters
    query = ListMessages(account=ACCOUNT, recipient=recipient, tag=tag, mailing=mailing)
    steps = plan(connection, *messages.messages_statement(query))
    read = {step.index for step in steps if step.table in {"messages", "message_tags"}}
    fit = {"messages_to_recipient"} if recipient else set()
    fit |= {"messages_of_mailing"} if mailing else set()

    assert scans(steps) == []
    # With few accounts, the planner may read all keys backwards.
    assert read & (fit or ({"message_tags_pkey"} if tag else {"messages_of_account", "messages_pkey"}))


def read_in_order(steps: Sequence[Step]) -> int:
    """The number of index ranges read, each in order up to a limit; no other deliveries are read."""
    read = [(n, step) for n, step in enumerate(steps) if step.table == "deliveries"]
    assert {step.index for _, step in read} == {"deliveries_listed"}
    assert {steps[n - 1]["Node Type"] for n, _ in read} == {"Limit"}
    return len(read)


@pytest.mark.parametrize(("type_", "state"), list(product((None, "open"), (None, "dead", "pending", "delivered"))))
@pytest.mark.parametrize("cursor", [None, encode_cursor([5, 7])])
def test_deliveries_are_listed_by_index(
    connection: Connection[Any], type_: str | None, state: str | None, cursor: str | None
) -> None:
    """Each combination of filters reads ranges of the loop's index from the page's start, at most a page of each."""
    query = ListDeliveries(
        account=ACCOUNT, loop_id="fl", type=type_, state=state, since_ms=1, until_ms=9, cursor=cursor
    )
    steps = plan(connection, *deliveries.deliveries_statement(1, query))
    ranges_read = (1 if state else len(DeliveryState)) * (1 if type_ else len(TRIGGER_CODES))

    assert scans(steps) == []
    assert read_in_order(steps) == ranges_read


@pytest.mark.parametrize("which", ["dead", "all"])
def test_a_replay_continues_at_its_position(connection: Connection[Any], which: str) -> None:
    """Each step reads at most its limit of each range, and counting uses the same index."""
    part = delivery_index.IndexRange(loop_no=1, since_ms=1, until_ms=9, at_ms=1, at_id=0, limit=5)
    steps = plan(connection, replays.next_statement(which), part)

    assert read_in_order(steps) == len(replays.STATES[which]) * len(TRIGGER_CODES)
    counting = plan(connection, delivery_index.count(replays.STATES[which]), part[:3])
    assert [s.index for s in counting if s.table == "deliveries"] == ["deliveries_listed"]
