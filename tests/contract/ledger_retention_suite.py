"""Contract suite for retention. A store subclasses it with a fixture `store`."""

from __future__ import annotations

import asyncio

import pytest

from actors.commands.events import ListEvents
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ports import RetentionLimits
from domain.enrichment import first_key
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, failed, outcome

DAY_MS = 86_400_000
NOTHING = RetentionLimits(None, None, None)


def attempts_of(store: Store, tenant: Tenant, delivery_id: int) -> list[int]:
    found = store.reader.delivery(tenant.no, delivery_id)
    assert found is not None
    return [a.no for a in found[1].attempts]


class RetentionSuite:
    """`RetentionLedger`."""

    @pytest.fixture
    def days(self, store: Store) -> tuple[Store, Tenant, int, list[int]]:
        """Ten days, each with a delivered, a dead and a pending delivery of a loop; one attempt each."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        ids: list[int] = []
        for _ in range(10):
            made = [event(tenant, loop_nos=[loop.no], time_ms=store.clock.ms) for _ in range(3)]
            new = [i for of_event in store.record(*made).delivery_ids for i in of_event]
            given = {"at_ms": store.clock.ms}
            store.outcomes(outcome(new[0], **given), outcome(new[1], state=2, status=500, **given))
            store.outcomes(failed(new[2], 1, store.clock.ms)._replace(at_ms=store.clock.ms))
            ids += new
            store.clock.ms += DAY_MS
        return store, tenant, loop.no, ids

    def kept(self, store: Store, tenant: Tenant, ids: list[int]) -> list[int]:
        return [i for i in ids if store.reader.delivery(tenant.no, i)]

    def test_nothing_is_dropped_without_a_limit(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """A limit of None keeps rows for ever."""
        store, tenant, _, ids = days

        assert store.drop() == 0
        assert self.kept(store, tenant, ids) == ids

    @pytest.mark.parametrize("limit", [1, 2, 3, 500])
    def test_old_deliveries_go_with_their_attempts(
        self, days: tuple[Store, Tenant, int, list[int]], limit: int
    ) -> None:
        """Delivered and dead deliveries older than the limit go, in steps of any size; pending ones stay."""
        store, tenant, loop_no, ids = days
        before_ms = NOW_MS + 4 * DAY_MS

        assert store.drop(limit, deliveries=before_ms) == 4 * 2 * 2
        assert self.kept(store, tenant, ids) == [i for n, i in enumerate(ids) if n >= 12 or n % 3 == 2]
        assert attempts_of(store, tenant, ids[2]) == [1]
        assert store.reader.pending_count(loop_no, 99) == 10
        assert store.drop(limit, deliveries=before_ms) == 0

    def test_old_attempts_of_kept_deliveries_go(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """Attempts older than the limit go; their deliveries are unchanged and keep their number of attempts."""
        store, tenant, loop_no, ids = days
        store.outcomes(failed(ids[2], 2, store.clock.ms)._replace(at_ms=store.clock.ms))

        assert store.drop(4, attempts=NOW_MS + 9 * DAY_MS) == 27
        assert self.kept(store, tenant, ids) == ids
        assert [attempts_of(store, tenant, i) for i in (ids[0], ids[2], ids[27])] == [[], [2], [1]]
        offered = {d.delivery_id: d for d in store.reader.due_deliveries(loop_no, store.clock.ms, 99, [])}
        assert [offered[i].attempts for i in (ids[2], ids[5])] == [2, 1]

    def test_events_that_a_delivery_needs_are_kept(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """An old event goes with its last delivery; a pending delivery keeps its payload."""
        store, tenant, loop_no, ids = days
        bare = event(tenant)
        store.record(bare)
        assert store.drop(2, events=NOW_MS + 20 * DAY_MS) == 0  # the one without a delivery is the newest row
        store.record(event(tenant, time_ms=store.clock.ms))

        assert store.drop(2, events=NOW_MS + 20 * DAY_MS) == 1
        assert store.drop(2, deliveries=NOW_MS + 5 * DAY_MS, events=NOW_MS + 20 * DAY_MS) == 5 * 2 * 3
        due = store.reader.due_deliveries(loop_no, store.clock.ms, 99, [])
        assert [d.delivery_id for d in due] == ids[2::3]
        shown = store.reader.list_events(ListEvents(account=tenant.view, limit=100)).data
        assert len(shown) == 30 - 10 + 1

    def test_a_dead_delivery_that_is_kept_can_be_replayed(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """An event stays while a delivery needs it, even if the limit of events is shorter."""
        store, _, loop_no, ids = days
        store.drop(events=store.clock.ms)
        started = store.replay(loop_no, "all")
        store.advance(started.id, 100)

        assert sorted(d.delivery_id for d in store.reader.due_deliveries(loop_no, store.clock.ms, 99, [])) == ids

    def test_a_requeued_delivery_is_not_dropped(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """An old delivery that was requeued stays until it ends again."""
        store, tenant, _, ids = days
        store.run(store.writer.retry_delivery(ids[1]))
        store.drop(deliveries=store.clock.ms, events=store.clock.ms)
        assert self.kept(store, tenant, ids)[:2] == ids[1:3]

        store.outcomes(outcome(ids[1], 2))
        store.drop(deliveries=store.clock.ms)
        assert self.kept(store, tenant, ids) == ids[2::3]

    def test_an_outcome_of_a_dropped_delivery_leaves_nothing(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """A dropped delivery is not recreated by a late outcome, and its id is never reused."""
        store, tenant, loop_no, ids = days
        store.outcomes(*(outcome(i, 2) for i in ids[2::3]))
        store.drop(deliveries=store.clock.ms, events=store.clock.ms)
        assert self.kept(store, tenant, ids) == []
        store.outcomes(outcome(ids[-1], 3))
        store.writer = store.successor()
        [[new]] = store.record(event(tenant, loop_nos=[loop_no])).delivery_ids

        assert new == ids[-1] + 1
        assert attempts_of(store, tenant, new) == []

    def test_deliveries_expire_after_the_clock_was_set_back(self, store: Store) -> None:
        """Deliveries whose creation times are not in order of their ids expire at the right time."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        ids = []
        for minutes in (0, 30, 60, 10, 40, 70, 20, 80):
            store.clock.ms = NOW_MS + minutes * 60_000
            [[id_]] = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids
            ids.append(id_)
            store.outcomes(outcome(id_))
        store.drop(deliveries=NOW_MS + 45 * 60_000)
        assert {ids[n] for n in (2, 5, 7)} <= set(self.kept(store, tenant, ids))

        store.drop(deliveries=NOW_MS + 90 * 60_000)
        assert self.kept(store, tenant, ids) == []

    def test_pending_deliveries_of_a_deleted_loop_go(self, store: Store) -> None:
        """Pending deliveries expire if their loop is deleted, but not if it is paused."""
        tenant = store.account()
        deleted, kept = tenant.loop(), tenant.loop()
        for loop in (deleted, kept):
            loop.verify("x", NOW_MS)
        store.append(deleted, kept)
        [a, b] = (route.loop_no for route in store.reader.routing_table().routes)
        store.record(event(tenant, loop_nos=[a, b]))
        deleted.delete(NOW_MS)
        kept.pause(NOW_MS)
        store.append(deleted, kept)

        assert store.drop(deliveries=NOW_MS + 1) == 1
        assert [store.reader.pending_count(no, 9) for no in (a, b)] == [0, 1]

    def test_events_go_with_all_that_follows_from_them(self, store: Store) -> None:
        """The remaining log rebuilds the remaining read models."""
        tenant = store.account()
        store.append(tenant.message(1))
        click = {"original": "https://example.com/a", "first": 1}
        key = first_key("click", "https://example.com/a")
        assert key is not None
        store.record(
            event(tenant, 1, fields={"first": 1}, first_key=0),
            event(tenant, 1, type="click", fields=click, first_key=key),
            event(tenant, 1),
            event(tenant, time_ms=NOW_MS + 5),
        )
        assert store.reader.taken_firsts([(1, 0), (1, key)]) == {(1, 0), (1, key)}

        assert store.drop(2, events=NOW_MS + 5) == 3
        assert store.reader.taken_firsts([(1, 0), (1, key)]) == set()
        rebuilt = store.another()
        rebuilt.run(rebuilt.writer.append(store.log()))
        assert rebuilt.read_models() == store.read_models()
        message = store.reader.message(tenant.no, "m-1")
        assert message is not None
        assert message.history == []

    def test_registered_data_stays(self, store: Store) -> None:
        """Events of accounts, loops, messages and profiles are never dropped."""
        tenant = store.account()
        store.active_loop(tenant)
        store.append(tenant.message(1), tenant.profile("1", "p", {}))
        before = store.log()

        assert store.drop(deliveries=2**47, attempts=2**47, events=2**47) == 0
        assert store.log() == before

    @pytest.mark.parametrize("limit", [1, 500])
    def test_ended_replays_go_with_old_deliveries(self, store: Store, limit: int) -> None:
        """Old ended replays go; running and recent ones stay, and no id is reused."""
        loops = [store.active_loop(store.account()) for _ in range(4)]
        ended, running = store.replay(loops[0].no), store.replay(loops[1].no)
        store.advance(ended.id, 1)
        store.clock.ms += DAY_MS
        young = store.replay(loops[2].no)
        store.advance(young.id, 1)

        assert store.drop(limit, deliveries=NOW_MS + 1) == 1
        assert store.reader.replay(loops[0].no, ended.id) is None
        assert store.reader.replay(loops[1].no, running.id) is not None
        assert store.reader.replay(loops[2].no, young.id) is not None
        assert store.drop(limit, deliveries=2**47) == 0
        assert store.replay(loops[3].no).id > young.id

    def test_idempotency_keys_go_after_their_day(self, store: Store) -> None:
        """A stored answer expires after 24 h, without another request for its key."""
        claim = ClaimKey(scope="acc_1", key="k", fingerprint="f")
        store.run(store.writer.claim_key(claim))
        answer = StoredAnswer(status=201, content_type="text/plain", body=b"x")
        store.run(store.writer.keep_answer(KeepAnswer(scope="acc_1", key="k", fingerprint="f", answer=answer)))
        store.clock.ms += DAY_MS - 1
        assert store.drop() == 0
        store.clock.ms += 1

        assert [store.drop(), store.drop()] == [1, 0]

    def test_others_are_served_between_the_steps(self, days: tuple[Store, Tenant, int, list[int]]) -> None:
        """A request made during a retention step is answered before the next step ends."""
        store, tenant, loop_no, _ = days
        version = store.reader.routing_table().version
        limits = RetentionLimits(store.clock.ms, store.clock.ms, store.clock.ms)
        order: list[str] = []

        async def drop() -> None:
            while await store.writer.drop_old(limits, 1):
                order.append("step")
            order.append("end")

        async def write() -> None:
            while "end" not in order:
                await store.writer.record_events(version, [event(tenant, loop_nos=[loop_no])])
                order.append("event")

        async def both() -> None:
            await asyncio.gather(drop(), write())

        store.run(both())
        first_step, end = order.index("step"), order.index("end")
        assert order.count("step") > 10
        assert "event" in order[first_step:end]
        assert order[first_step:end].count("event") >= order.count("step") // 2
