"""Every query of the ledger uses an index on SQLite."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from actors.commands.accounts import Account
from actors.commands.deliveries import ListDeliveries
from actors.commands.events import ListEvents
from actors.commands.messages import ListMessages
from actors.ledger import missed_events, profile_people, profile_projection, replays, rollups
from actors.ledger.access import store
from actors.ledger.erasure import history_search, profile_families, redaction
from actors.ledger.erasure import reports as erased_reports
from actors.ledger.erasure import store as erasure_store
from actors.ledger.erasure.steps import events as erase_events
from actors.ledger.erasure.steps import histories, idempotency, people
from actors.ledger.erasure.steps import messages as erase_messages
from actors.ledger.export import events as exported_events
from actors.ledger.export import messages as exported_messages
from actors.ledger.export import profiles as exported_profiles
from actors.ledger.export import reports as exported_reports
from actors.ledger.export import status as exported_status
from actors.ledger.queries import (
    access,
    deliveries,
    delivery_index,
    erasures,
    events,
    front_end_erasures,
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
from actors.ledger.sqlite import outbox, reader
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.dialect import SQLITE, sqlite_sql
from actors.ledger.sqlite.read_connection import of_events
from actors.ledger.sqlite.schema import migrate
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.values import DeliveryState

ACCOUNT = Account(no=1, id="acc", name="Acme")
#: Sources that may be scanned: parameter lists; sub-queries with a LIMIT or of one row; loops with pending deliveries,
#: each found in an index; and replays and erasures, whose partial indexes hold only the running ones.
SHORT = ("json_each", "wanted", "d", "e", "(subquery", "owed", "CONSTANT", "r", "v", "found")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = open_writer(tmp_path / "ledger.sqlite")
    migrate(made)
    yield made
    made.close()


def plan(connection: sqlite3.Connection, statement: str, params: Sequence[object]) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sqlite_sql(statement)}", params)]


def scans(steps: list[str]) -> list[str]:
    """The steps that read a whole table, or build a temporary index."""
    read = [(step, re.split(r"[ -]", step.removeprefix("SCAN "))[0]) for step in steps if step.startswith("SCAN ")]
    return [step for step, what in read if what not in SHORT] + [step for step in steps if "AUTOMATIC" in step]


def test_a_scan_would_be_seen(connection: sqlite3.Connection) -> None:
    """The check detects a query that reads a whole table."""
    assert scans(plan(connection, "SELECT * FROM deliveries WHERE attempts = ?", [1])) == ["SCAN deliveries"]


FIXED = {
    "events_of": (hot_path.EVENTS_OF, 1),
    "routes_version": (hot_path.ROUTES_VERSION, 0),
    "messages": (hot_path.MESSAGES, 1),
    "profiles": (reader.PROFILES, 1),
    "taken_firsts": (reader.TAKEN_FIRSTS, 1),
    "loops_owed": (of_events(hot_path.LOOPS_OWED, 2), 2),
    "due": (hot_path.DUE_DELIVERIES, 4),
    "next_due": (hot_path.NEXT_DUE, 1),
    "loops due": (hot_path.LOOPS_DUE, 1),
    "account": (access.ACCOUNT_BY_KEY, 1),
    "loop": (loops.LOOP, 1),
    "loops": (loops.LOOPS_OF_ACCOUNT, 3),
    "message": (messages.MESSAGE, 2),
    "history": (messages.HISTORY, 3),
    "profile": (profiles.PROFILE, 3),
    "subprofile": (profiles.SUBPROFILE, 5),
    "subprofile keys": (profiles.SUBPROFILE_KEYS, 3),
    "stored profile": (profiles.STORED_PROFILE, 1),
    "stored subprofile": (profiles.STORED_SUBPROFILE, 1),
    "has subprofiles": (profile_projection.HAS_SUBPROFILES, 3),
    "accounts": (access.ACCOUNTS, 2),
    "attempts": (deliveries.ATTEMPTS, 1),
    "delivery": (deliveries.DELIVERY, 2),
    "known events": (outbox.KNOWN, 1),
    "pending": (hot_path.PENDING_COUNT, 3),
    "health": (hot_path.HEALTH, 1),
    "loop by number": (loops.LOOP_BY_NO, 1),
    "running replay": (replay_queries.RUNNING, 1),
    "replay": (replay_queries.REPLAY, 2),
    "replays": (replay_queries.REPLAYS, 3),
    "give back": (replays.REQUEUE, 2),
    "old deliveries": (sweeps.OLD_DELIVERIES, 4),
    "drop deliveries": (sweeps.DROP_DELIVERIES, 1),
    "drop attempts": (sweeps.DROP_ATTEMPTS, 1),
    "old attempts": (sweeps.OLD_ATTEMPTS, 5),
    "old events": (sweeps.OLD_EVENTS, 4),
    "user": (access.USER, 1),
    "user by address": (access.USER_BY_EMAIL, 1),
    "users": (access.USERS_OF_ACCOUNT, 2),
    "session": (access.SESSION, 1),
    "account by id": (access.ACCOUNT, 1),
    "keys": (access.API_KEYS, 2),
    "key's use": (access.API_KEY_USE, 1),
    "old sessions": (store.OLD_SESSIONS, 2),
    "old tries": (store.OLD_TRIES, 2),
    "sessions of": (store.OTHER_SESSIONS, 2),
    "too long": (store.OVERDUE_SESSIONS, 2),
    "attempts since": (statistics.ATTEMPTS_SINCE, 2),
    "attempt minutes": (statistics.ATTEMPT_MINUTES, 2),
    "event minutes": (statistics.EVENT_MINUTES, 2),
    "backlog": (statistics.BACKLOG, 2),
    "deliveries of event": (statistics.DELIVERIES_OF_EVENT, 3),
    "delivery counts": (of_events(statistics.DELIVERY_COUNTS, 2), 2),
    "loop of": (rollups.LOOP_OF, 1),
    "old attempt minutes": (rollups.OLD_ATTEMPT_MINUTES, 2),
    "old event minutes": (rollups.OLD_EVENT_MINUTES, 2),
    "needed events": (of_events(sweeps.NEEDED, 2), 2),
    "expired keys": (sweeps.EXPIRED_KEYS, 2),
    "old reports": (report_sweeps.OLD_REPORTS, 3),
    "awaited reports": (of_events(report_sweeps.AWAITED, 2), 2),
    "old digests": (report_sweeps.OLD_DIGESTS, 2),
    "old messages": (personal_sweeps.OLD_MESSAGES, 3),
    "drop messages": (personal_sweeps.DROP_MESSAGES, 1),
    "old mails": (personal_sweeps.OLD_MAILS, 4),
    "superseded data": (personal_sweeps.SUPERSEDED, 2),
    **{f"count of {name}": (query, 3) for name, query in recipients.COUNTS.items()},
    "exported messages": (exported_messages.MESSAGES_OF, 4),
    "exported events": (exported_events.EVENTS_OF, 4),
    "exported deliveries": (of_events(exported_events.DELIVERIES_OF, 2), 2),
    "profiles that messages name": (exported_profiles.NAMED_BY_MESSAGES, 4),
    "profiles with an address": (exported_profiles.WITH_ADDRESS, 4),
    "members of a profile": (exported_profiles.MEMBERS, 3),
    "next version": (exported_profiles.NEXT_VERSION, 2),
    "exported reports": (exported_reports.REPORTS_AFTER, 4),
    "exported events of reports": (exported_reports.EVENTS, 2),
    "opt-out": (exported_status.OPT_OUT, 2),
    "running erasures": (exported_status.RUNNING, 2),
    "family of a person": (profile_families.NEXT_FAMILY.format(account="c.no = $1"), 6),
    "family of a person anywhere": (profile_families.NEXT_FAMILY.format(account="c.no > $1"), 6),
    "profile of a family": (profile_families.PROFILE, 3),
    "subprofiles of a family": (profile_families.SUBPROFILES, 3),
    "streams of a family": (profile_families.STREAMS, 4),
    "erased message that names a profile": (profile_families.OWN_MESSAGE, 5),
    "message to others that names a profile": (profile_families.OTHERS_MESSAGE, 4),
    "events of a profile": (history_search.EVENTS, 3),
    "messages that name a profile": (history_search.NAMING_MESSAGES, 5),
    "history of a profile": (profile_people.HISTORY_PAGE, 3),
    "next history to redact": (histories.NEXT_HISTORY, 1),
    **{f"searched reports {number}": (query, 4) for number, query in enumerate(erased_reports.SEARCHED)},
    "answers about erased messages": (idempotency.ANSWERS, 3),
    "messages of a person": (erase_messages.FIND.format(account="a.no = $1"), 4),
    "messages of a person in all accounts": (erase_messages.FIND.format(account="a.no > $1"), 4),
    "latest message of a person": (erasure_store.LATEST_MESSAGE, 2),
    "running erasures to carry on": (erasure_store.RUNNING, 0),
    "erasure's work list": (erase_events.KEYS, 3),
    "events to redact": (erase_events.EVENTS, 3),
    "deliveries to end": (redaction.END_DELIVERIES, 1),
    "attempts to redact": (redaction.REDACT_ATTEMPTS, 1),
    "erased references": (erasures.ERASED_REFERENCES.format(marks="$2, $3"), 3),
    "erasures since": (erasures.ERASED_SINCE, 2),
    "erasures that a front end has to confirm": (front_end_erasures.WORK, 3),
    "erasures that are settled": (front_end_erasures.SETTLED, 0),
    "erased messages": (front_end_erasures.ERASED, 1),
    **{f"people {number}": (people.page_of(query), 3) for number, query in enumerate(people.PEOPLE)},
    "erased deliveries": (replays.STATES_OF, 1),
    "known digests": (outbox.KNOWN_DIGESTS.format("?,?"), 2),
    "message keys by id": (reader.MESSAGE_KEYS["id"], 1),
    "message keys by reference": (reader.MESSAGE_KEYS["reference"], 1),
    "message of reference": (messages.ID_OF_REFERENCE, 2),
    "revoked or valid key": (hot_path.API_KEY, 1),
    "has digest": (hot_path.HAS_DIGEST, 1),
    "kept mail": (hot_path.KEPT_MAIL, 1),
    "report": (reports.REPORT, 2),
    "reports": (reports.REPORTS, 3),
    "reports in a state": (reports.REPORTS_IN_STATE, 4),
    "reports of a millisecond": (reports.REPORTS_WITH_MORE, 4),
}


@pytest.mark.parametrize("name", FIXED)
def test_look_ups_search(connection: sqlite3.Connection, name: str) -> None:
    """No look-up reads a whole table."""
    statement, parameters = FIXED[name]

    assert scans(plan(connection, statement, ["[]"] * parameters)) == []


def test_due_deliveries_are_read_in_order(connection: sqlite3.Connection) -> None:
    """The outbox is read in index order: no backlog is sorted to find the soonest deliveries."""
    steps = plan(connection, hot_path.DUE_DELIVERIES, [1, 1, "[]", 1])
    outbox_step = next(n for n, step in enumerate(steps) if "deliveries_due" in step)

    assert "loop_no=? AND due_at_ms<?" in steps[outbox_step]
    assert not [step for step in steps[:outbox_step] if "TEMP B-TREE" in step]
    assert len([step for step in steps if "TEMP B-TREE" in step]) <= 1


def test_an_ordered_backlog_is_read_by_id(connection: sqlite3.Connection) -> None:
    """An ordered loop reads its backlog in index order, without sorting."""
    steps = plan(connection, hot_path.PENDING_IN_ORDER, [1, "[]", 1])
    outbox_step = next(n for n, step in enumerate(steps) if "deliveries_pending" in step)

    assert "(loop_no=?)" in steps[outbox_step]
    assert not [step for step in steps[: outbox_step + 2] if "TEMP B-TREE" in step]


def test_loops_that_are_due_are_stepped_through(connection: sqlite3.Connection) -> None:
    """Each step searches the outbox's index for the next loop, so the size of its backlog does not matter."""
    steps = [step for step in plan(connection, hot_path.LOOPS_DUE, [1]) if "deliveries" in step]
    search = "SEARCH deliveries USING INDEX deliveries_due"

    assert steps == [search, f"{search} (loop_no>?)", f"{search} (loop_no=?)"]


def test_failing_loops_are_stepped_through(connection: sqlite3.Connection) -> None:
    """Only the index of failed deliveries is read, so the size of the backlog does not matter."""
    steps = [step for step in plan(connection, hot_path.LOOPS_FAILING, []) if "deliveries" in step]
    search = "SEARCH deliveries USING INDEX deliveries_failed"

    assert steps == [search, f"{search} (loop_no>?)"]
    assert plan(connection, hot_path.HAS_FAILED, [1]) == [f"{search} (loop_no=?)"]


def test_missed_events_are_searched(connection: sqlite3.Connection) -> None:
    """Each trigger's events are one range of its index; the ranges are merged, and only one page is looked up."""
    steps = plan(connection, missed_events.events_statement(("open", "click")), [1, b"", b"", 9, 1])
    search = "SEARCH events USING COVERING INDEX events_of_type (account_no=? AND type=? AND event_id>? AND event_id<?)"

    assert steps.count(search) == 2
    assert "MERGE (UNION ALL)" in steps
    assert scans(steps) == []


@pytest.mark.parametrize(
    ("type_", "message", "recipient"), list(product((None, "open"), (None, "m"), (None, "a@example.com")))
)
def test_events_are_listed_by_index(
    connection: sqlite3.Connection, type_: str | None, message: str | None, recipient: str | None
) -> None:
    """Each combination of filters searches the best index, including the time range."""
    query = ListEvents(account=ACCOUNT, type=type_, message_id=message, recipient=recipient, since_ms=1, until_ms=2)
    steps = plan(connection, *events.events_statement(query, SQLITE))
    [step] = [s for s in steps if s.startswith("SEARCH events")]

    assert scans(steps) == []
    assert "event_id>? AND event_id<?" in step
    if message or recipient:
        assert "events_of_message" in step
    else:
        assert len([s for s in steps if "TEMP B-TREE" in s]) <= 1  # sorts the page, not the whole list
        assert ("events_of_type" in step) == (type_ is not None)


@pytest.mark.parametrize("filters", list(product((None, "a@example.com"), (None, "t"), (None, "m"))))
def test_messages_are_listed_by_index(connection: sqlite3.Connection, filters: tuple[str | None, ...]) -> None:
    """Each combination of filters reads the best index from the page's start, without sorting the list."""
    recipient, tag, mailing = filters
    query = ListMessages(account=ACCOUNT, recipient=recipient, tag=tag, mailing=mailing, cursor=encode_cursor([5]))
    steps = plan(connection, *messages.messages_statement(query))
    [step] = [s for s in steps if s.startswith("SEARCH m ") and "INTEGER PRIMARY KEY" not in s] or [""]

    assert scans(steps) == []
    assert not [s for s in steps if "TEMP B-TREE" in s]
    if recipient:
        assert "messages_to_recipient (account_no=? AND person=? AND key<?)" in step
    elif mailing:
        assert "messages_of_mailing (account_no=? AND mailing=? AND key<?)" in step
    elif tag:
        assert [s for s in steps if "(account_no=? AND tag=? AND message_key<?)" in s]
    else:
        assert "messages_of_account (account_no=? AND key<?)" in step


RANGE = (
    "SEARCH deliveries USING INDEX deliveries_listed"
    " (loop_no=? AND state=? AND type=? AND created_at_ms>? AND created_at_ms<?)"
)


@pytest.mark.parametrize(("type_", "state"), list(product((None, "open"), (None, "dead", "pending", "delivered"))))
@pytest.mark.parametrize("cursor", [None, encode_cursor([5, 7])])
def test_deliveries_are_listed_by_index(
    connection: sqlite3.Connection, type_: str | None, state: str | None, cursor: str | None
) -> None:
    """Each combination of filters merges ranges of the loop's index from the start of the page, without sorting."""
    query = ListDeliveries(
        account=ACCOUNT, loop_id="fl", type=type_, state=state, since_ms=1, until_ms=9, cursor=cursor
    )
    statement, params = deliveries.deliveries_statement(1, query)
    steps = plan(connection, statement, params)
    ranges_read = (1 if state else len(DeliveryState)) * (1 if type_ else len(TRIGGER_CODES))

    assert params.until_ms == (6 if cursor else 9)
    assert [step for step in steps if "SEARCH" in step] == [RANGE] * ranges_read
    assert {*steps} <= {RANGE, "MERGE (UNION ALL)", "LEFT", "RIGHT"}


@pytest.mark.parametrize("which", ["dead", "all"])
def test_a_replay_continues_at_its_position(connection: sqlite3.Connection, which: str) -> None:
    """Each step merges ranges of the loop's index, and counting reads only the index."""
    params = delivery_index.IndexRange(loop_no=1, since_ms=1, until_ms=9, at_ms=1, at_id=0, limit=5)
    covering = RANGE.replace("INDEX", "COVERING INDEX")
    steps = plan(connection, replays.next_statement(which), params)

    assert {*steps} <= {covering, "MERGE (UNION ALL)", "LEFT", "RIGHT"}
    assert plan(connection, delivery_index.count(replays.STATES[which]), params[:3]) == [covering]


@pytest.mark.parametrize(
    ("statement", "by"),
    [
        (sweeps.OLD_DELIVERIES, "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (sweeps.OLD_ATTEMPTS, "SEARCH attempts USING PRIMARY KEY ((delivery_id,no)>(?,?) AND delivery_id<?)"),
        (sweeps.OLD_EVENTS, "(originator_id>? AND originator_id<?)"),
    ],
)
def test_old_rows_are_read_in_order(connection: sqlite3.Connection, statement: str, by: str) -> None:
    """Retention continues at its position, reads at most its limit, and sorts nothing."""
    steps = plan(connection, statement, [0] * statement.count("$"))

    assert by in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]
