"""Contract suite for erasures: messages, events, deliveries, and what is recorded afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from actors.commands.deliveries import ListDeliveries
from actors.commands.events import ListEvents
from actors.commands.intake import Batch
from actors.enrichment.enricher import Enricher
from actors.ledger.erasure.port import RequestErasure
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.erasure.store_access import ErasureStore
from actors.ledger.store_connection import Row
from domain.delivery import OfferedDelivery
from domain.erasure import ALL_ACCOUNTS, StepName, person_digest
from domain.errors import Erased
from domain.message import Message
from domain.reports.intake import Report
from domain.tracking import TrackingHit
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, event_id, failed, outcome
from tests.contract.ledger_front_ends_suite import KEY, install
from tests.contract.ledger_reports_suite import listed
from tests.mail_reader import make_mail_reader

JOHN = "john@example.com"
JANE = "jane@example.com"
SECRETS = {"recipient": JOHN, "ip": "192.0.2.7", "useragent": "secret agent", "fields": {"name": "John Doe"}}
KEPT = {"message": "m-1", "tags": ["spring"], "mailing": "may"}


class NoLoops:
    """Fake `LoopNotifier`."""

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None: ...
    def nudge(self, loop_id: str) -> None: ...


def runner(store: Store) -> ErasureRunner:
    """The steps that concern messages and events."""
    access = store.writer.erasure_store
    return ErasureRunner(actions(store, access), access)


def actions(store: Store, access: ErasureStore) -> list[Batches]:
    steps = (
        *(MessagesStep(store.reader.digest_key), EventsStep()),
        *(MessagesStep(store.reader.digest_key, StepName.LATE_MESSAGES), EventsStep(StepName.LATE_EVENTS)),
    )
    return [Batches(step, access, limit=3) for step in steps]


def request(store: Store, tenant: Tenant | None, person: str = JOHN, **more: Any) -> str:
    no = ALL_ACCOUNTS if tenant is None else tenant.no
    wanted = RequestErasure(
        id=f"ers_{event_id().hex()}", account_no=no, person=person, digest=person_digest(KEY, person), **more
    )
    return store.run(store.writer.change_erasures(wanted))


def run_to_the_end(store: Store) -> None:
    async def all_steps() -> None:
        steps = runner(store)
        while await steps.advance():
            pass

    store.run(all_steps())


def erase(store: Store, tenant: Tenant | None, person: str = JOHN, **more: Any) -> str:
    erasure_id = request(store, tenant, person, **more)
    run_to_the_end(store)
    # The last step of a service completes it; these stop at theirs.
    return erasure_id


def rows(store: Store, sql: str, *params: object) -> list[Row]:
    return store.writer.erasure_store.connection.rows(sql, params)


def message(store: Store, tenant: Tenant, key: int = 1, **facts: Any) -> Message:
    made = tenant.message(key, **facts)
    store.append(made)
    return made


def hit(tenant: Tenant, key: int = 1, kind: str = "open", **more: Any) -> TrackingHit:
    at_ms = more.pop("time_ms", NOW_MS)
    target = "https://example.com/a?for=john" if kind == "click" else ""
    return TrackingHit(event_id(at_ms), kind, tenant.no, key, at_ms, target, "192.0.2.7", "agent", "", "")


def enricher(store: Store) -> Enricher:
    return Enricher(store.writer, store.reader, NoLoops(), make_mail_reader())


def enrich(store: Store, *entries: Any) -> None:
    store.run(enricher(store).record(Batch(list(entries), [])))


def report(store: Store, tenant: Tenant, at_ms: int = NOW_MS, **body: Any) -> Report:
    keys = {key.account.no: key.hash for key in store.reader.api_key_list(-1).keys or []}
    id_ = event_id(at_ms)
    text = json.dumps({"type": "bounce", **body}).encode()
    return Report(id_, tenant.no, "api", bytes.fromhex(keys[tenant.no]), at_ms, id_ * 2, text)


def seen_events(store: Store, tenant: Tenant) -> list[dict[str, Any]]:
    page = store.reader.list_events(ListEvents(account=tenant.view, limit=200))
    return [json.loads(bytes(view.fields)) for view in page.data]


def traces(store: Store, *texts: str) -> list[str]:
    """The texts that occur in any row of the log or of the tables."""
    known = [str(row) for row in store.log()] + [str(row) for row in store.read_models().values()]
    known += [str(row) for row in rows(store, "SELECT * FROM attempts")]
    return [text for text in texts if any(text in each for each in known)]


class ErasureSuite:
    """Erasures in `StoreWriter`."""

    @pytest.fixture(autouse=True)
    def _installed(self, store: Store) -> None:
        install(store)

    def test_a_message_keeps_what_it_belonged_to(self, store: Store) -> None:
        """Id, tags, mailing and time stay; recipient, reference and links go, from the log as well."""
        tenant = store.account()
        message(
            store, tenant, recipient="John@EXAMPLE.com", reference="r-1@x", mailing="may", database="1", profile="9"
        )
        erase(store, tenant)

        view = store.reader.message(tenant.no, "m-1")
        assert view is not None
        assert (view.recipient, view.links, view.reference, view.erased_at_ms) == ("", [], None, NOW_MS)
        assert (view.tags, view.mailing, view.profile, view.created_at_ms) == (["spring"], "may", "9", NOW_MS)
        assert traces(store, "John@EXAMPLE", JOHN, "r-1@x", "https://example.com/a") == []

    def test_only_the_person_s_messages_of_the_account_are_erased(self, store: Store) -> None:
        """Others keep their messages, and so does another account."""
        tenant, other = store.account(), store.account()
        message(store, tenant, 1)
        message(store, tenant, 2, recipient=JANE)
        message(store, other, 3)
        erase(store, tenant)

        recipients = {key: facts.recipient for key, facts in store.reader.messages([1, 2, 3]).items()}
        assert recipients == {1: "", 2: JANE, 3: JOHN}

    def test_the_operator_erases_in_all_accounts(self, store: Store) -> None:
        """Each account's messages of the person are erased."""
        tenants = [store.account(), store.account()]
        for number, tenant in enumerate(tenants):
            for key in range(1, 6):
                message(store, tenant, 10 * number + key)
        erase(store, None)

        assert [facts.recipient for facts in store.reader.messages(range(1, 20)).values()] == [""] * 10

    def test_an_event_keeps_that_it_happened(self, store: Store) -> None:
        """Personal fields, returned mail and the texts of attempts go; pending deliveries end as erased."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        message(store, tenant)
        made = [
            event(
                tenant,
                1,
                [loop.no],
                type="open",
                first_key=n,
                time_ms=NOW_MS + n,
                fields={**SECRETS, **KEPT, "first": 1},
            )
            for n in range(8)
        ]
        made[0] = made[0]._replace(mime="From: john@example.com")
        ids = [i for each in store.record(*made).delivery_ids for i in each]
        store.outcomes(outcome(ids[0], excerpt="hello john", response_headers="x: john"))
        store.outcomes(failed(ids[1], 1, NOW_MS)._replace(excerpt="hello john"))
        store.outcomes(outcome(ids[2], state=2, status=500, excerpt="hello john"))
        erase(store, tenant)

        assert [each["erased"] for each in seen_events(store, tenant)] == [1] * 8
        assert all(KEPT.items() <= each.items() and each["type"] == "open" for each in seen_events(store, tenant))
        assert traces(store, JOHN, "192.0.2.7", "secret agent", "John Doe", "hello john") == []
        assert store.reader.kept_mail(made[0].event_id) is None
        assert store.reader.taken_firsts([(1, n) for n in range(8)]) == set()
        page = store.reader.list_deliveries(loop.no, ListDeliveries(account=tenant.view, loop_id="", limit=20))
        states = {view.id: view.state for view in page.data}
        assert [states[f"dlv_{i}"] for i in ids] == ["delivered", "erased", "dead", *["erased"] * 5]
        assert store.reader.due_deliveries(loop.no, NOW_MS + 10**6, 20, []) == []
        [(messages, events, deliveries)] = rows(store, "SELECT messages, events, deliveries FROM erasures")
        assert (messages, events, deliveries) == (1, 8, 6)

    def test_statistics_are_the_same_before_and_after(self, store: Store) -> None:
        """The number of events by minute and type does not change, nor do the messages of a tag or a mailing."""
        tenant = store.account()
        message(store, tenant, mailing="may")
        for kind in ("open", "click", "click"):
            store.record(event(tenant, 1, type=kind))
        counted = "SELECT type, count(*) FROM events GROUP BY type ORDER BY type"
        tagged = "SELECT tag, message_key FROM message_tags"
        before = store.reader.event_minutes(tenant.no, 0), rows(store, counted), rows(store, tagged)
        erase(store, tenant)

        assert before == (store.reader.event_minutes(tenant.no, 0), rows(store, counted), rows(store, tagged))

    def test_hits_and_reports_after_it_are_not_recorded(self, store: Store) -> None:
        """A hit is dropped; reports by id or by reference are kept as `erased`, without events."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["click", "open", "bounce"])
        message(store, tenant, reference="r-1@x")
        erase(store, tenant)
        enrich(store, hit(tenant), hit(tenant, kind="click"))
        by_id, by_reference = report(store, tenant, message="m-1"), report(store, tenant, reference="r-1@x")
        other = report(store, tenant, reference="r-2@x")
        enrich(store, by_id, by_reference, other)

        states = dict(listed(store, tenant))
        wanted = ((by_id, "erased"), (by_reference, "erased"), (other, "unmatched"))
        assert {id_text("rep", each.event_id): state for each, state in wanted} == states
        assert [each["type"] for each in seen_events(store, tenant)] == ["bounce"]
        assert len(store.reader.due_deliveries(loop.no, NOW_MS + 10**6, 20, [])) == 1
        assert store.reader.taken_firsts([(1, 0)]) == set()

    def test_a_batch_that_was_enriched_before_is_enriched_again(self, store: Store) -> None:
        """Facts that were read before the erasure are not recorded after it."""
        tenant = store.account()
        message(store, tenant)
        late = OvertakenWriter(store.writer, lambda: asyncio.to_thread(run_in_thread, store, tenant))
        overtaken = Enricher(late, store.reader, NoLoops(), make_mail_reader())
        store.run(overtaken.record(Batch([hit(tenant)], [])))

        assert late.is_overtaken
        assert seen_events(store, tenant) == []

    def test_a_new_message_to_the_address_is_a_new_person(self, store: Store) -> None:
        """It is not erased, and its hits are recorded."""
        tenant = store.account()
        message(store, tenant)
        erase(store, tenant)
        message(store, tenant, 2, at_ms=NOW_MS + 1)
        run_to_the_end(store)
        enrich(store, hit(tenant, 2, time_ms=NOW_MS + 2))

        assert [each["recipient"] for each in seen_events(store, tenant)] == [JOHN]

    def test_a_message_from_a_clock_that_is_ahead_is_erased(self, store: Store) -> None:
        """Whatever was registered before the request is covered."""
        tenant = store.account()
        message(store, tenant, at_ms=NOW_MS + 60_000)
        erase(store, tenant)

        assert store.reader.messages([1])[1].is_erased

    def test_a_message_that_is_registered_late_is_erased(self, store: Store) -> None:
        """One that was made before the request, and committed after the first step, is found before the end."""
        tenant = store.account()
        request(store, tenant)
        late = tenant.message(1)

        async def in_between() -> None:
            steps = runner(store)
            await steps._actions[0].advance([])
            await store.writer.change_erasures(
                RequestErasure(id="ers_x", account_no=tenant.no, person=JANE, digest=person_digest(KEY, JANE))
            )

        store.run(in_between())
        store.append(late)
        run_to_the_end(store)

        assert store.reader.messages([1])[1].is_erased

    def test_one_erasure_of_a_person_runs_at_a_time(self, store: Store) -> None:
        """The same request again gives the same id, and covers what came since."""
        tenant = store.account()
        first = request(store, tenant)
        run_once(store)
        message(store, tenant, at_ms=NOW_MS + 5)
        store.clock.ms += 10

        assert request(store, tenant) == first
        assert request(store, None) != first
        run_to_the_end(store)
        assert store.reader.messages([1])[1].is_erased

    def test_erased_deliveries_are_never_sent_again(self, store: Store) -> None:
        """Neither by a retry nor by a replay, in whatever state they ended."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        message(store, tenant)
        mine = store.record(*(event(tenant, 1, [loop.no]) for _ in range(3))).delivery_ids
        other = store.record(event(tenant, 0, [loop.no])).delivery_ids
        [[delivered], [dead], [pending]], [[another]] = mine, other
        store.outcomes(outcome(delivered), outcome(dead, state=2, status=500), outcome(another, state=2, status=500))
        erase(store, tenant)

        for id_ in (delivered, dead, pending):
            with pytest.raises(Erased):
                store.run(store.writer.retry_delivery(id_))
        replayed = store.replay_to_the_end(store.replay(loop.no, "all"))
        assert (replayed.done, replayed.count) == (1, 1)
        due = store.reader.due_deliveries(loop.no, NOW_MS + 10**6, 20, [])
        assert [each.delivery_id for each in due] == [another]

    def test_a_late_outcome_keeps_no_text(self, store: Store) -> None:
        """An attempt that ended after the erasure is recorded without its texts; the delivery stays erased."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        message(store, tenant)
        [[id_]] = store.record(event(tenant, 1, [loop.no])).delivery_ids
        erase(store, tenant)
        store.outcomes(outcome(id_, excerpt="hello john", response_headers="x: john"))

        [(status, excerpt, headers)] = rows(store, "SELECT status, excerpt, response_headers FROM attempts")
        assert (status, excerpt, headers) == (200, "", "")
        assert rows(store, "SELECT state FROM deliveries") == [(3,)]

    def test_an_opt_out_is_kept_if_wanted(self, store: Store) -> None:
        """The first time counts, also of an unsubscription that arrives after the message was erased."""
        tenant = store.account()
        message(store, tenant, 1)
        message(store, tenant, 2)
        enrich(store, hit(tenant, 1, "unsubscribe", time_ms=NOW_MS + 500))
        erase(store, tenant, keep_opt_out=True)
        digest = person_digest(KEY, JOHN)
        kept = "SELECT account_no, digest, opted_out_at_ms FROM opt_outs"

        assert [(no, bytes(d), at) for no, d, at in rows(store, kept)] == [(tenant.no, digest, NOW_MS + 500)]
        request(store, tenant, keep_opt_out=True)
        run_once(store)
        enrich(store, hit(tenant, 2, "unsubscribe", time_ms=NOW_MS + 400))
        assert [at for _, _, at in rows(store, kept)] == [NOW_MS + 400]

    def test_the_read_models_can_be_rebuilt(self, store: Store) -> None:
        """The log after an erasure projects to the same rows."""
        tenant = store.account()
        message(store, tenant, reference="r@x")
        store.record(event(tenant, 1, first_key=0, fields={"first": 1, **SECRETS}))
        erase(store, tenant)
        rebuilt = store.another()
        rebuilt.run(rebuilt.writer.append(store.log()))

        assert rebuilt.read_models()["messages"] == store.read_models()["messages"]
        assert rebuilt.read_models()["first_hits"] == store.read_models()["first_hits"] == []

    def test_an_erasure_continues_after_a_crash(self, store: Store) -> None:
        """Wherever a process ends between two commits, the next one completes the work, and nothing counts twice."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        for key in range(1, 8):
            message(store, tenant, key, reference=f"r{key}@x")
            store.record(*(event(tenant, key, [loop.no], fields=SECRETS) for _ in range(2)))
        request(store, tenant)
        crashes = 0
        while is_crashed := store.run(crash_after(store, commits=1)):
            crashes += is_crashed

        assert crashes > 8
        assert rows(store, "SELECT messages, events, deliveries FROM erasures") == [(7, 14, 14)]
        assert traces(store, JOHN, "192.0.2.7", "r1@x") == []
        assert [each["erased"] for each in seen_events(store, tenant)] == [1] * 14

    def test_an_old_report_that_names_an_erased_person_is_not_recorded(self, store: Store) -> None:
        """A report without a message that arrived before the erasure, and is recorded after it, may name the person."""
        tenant = store.account()
        store.clock.ms = NOW_MS + 5
        erase(store, tenant)
        old = report(store, tenant, reference="x@y", recipient=JOHN)
        hidden = report(store, tenant, reference="x@y", mime="To: =?utf-8?q?j?=\r\n\r\njohn=40example.com")
        in_words = report(
            store, tenant, reference="x@y", mime="To: =?utf-8?b?am9obkBleGFtcGxl?=\r\n =?utf-8?b?LmNvbQ==?=\r\n\r\nhi"
        )
        new = report(store, tenant, NOW_MS + 6, reference="x@y", recipient=JOHN)
        enrich(store, old, hidden, in_words, new)

        assert [state for _, state in listed(store, tenant)] == ["unmatched", *["erased"] * 3]


class CrashingCommits:
    """The writer of a process that ends after some commits."""

    def __init__(self, commits: Any, left: int) -> None:
        self._commits = commits
        self._left = left

    async def run(self, work: Any, rows: int) -> Any:
        if self._left == 0:
            raise SystemError("the process has ended")
        self._left -= 1
        return await self._commits.run(work, rows)


async def crash_after(store: Store, commits: int) -> bool:
    """Runs the steps in a process that ends after some commits. Returns whether it ended before the work was done."""
    access = store.writer.erasure_store
    crashing = ErasureStore(CrashingCommits(access.commits, commits), access.connection, access.clock)  # type: ignore[arg-type]
    with contextlib.suppress(SystemError):
        steps = ErasureRunner(actions(store, crashing), crashing)
        while await steps.advance():
            pass
        return False
    return True


class OvertakenWriter:
    """A ledger whose first record is overtaken."""

    def __init__(self, writer: Any, rival: Any) -> None:
        self._writer = writer
        self._rival = rival
        self.is_overtaken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    async def record_events(self, *args: Any) -> Any:
        if not self.is_overtaken:
            self.is_overtaken = True
            await self._rival()
        return await self._writer.record_events(*args)


def run_in_thread(store: Store, tenant: Tenant) -> None:
    erase(store, tenant)


def run_once(store: Store) -> None:
    """Runs the first step only."""
    access = store.writer.erasure_store

    async def first() -> None:
        action = Batches(MessagesStep(store.reader.digest_key), access)
        await ErasureRunner([action, Batches(EventsStep(), access)], access).advance()

    store.run(first())
