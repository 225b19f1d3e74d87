"""Contract suite for replays and manual retries. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from actors.commands.deliveries import ListDeliveries
from actors.ledger.loop_projection import LoopRow
from domain.errors import Conflict, InvalidInput, NotFound
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, failed, outcome

#: Later than everything that the tests create.
LATER_MS = NOW_MS + 1_000_000


@dataclass
class LoopHistory:
    """A loop whose deliveries, one per second, are dead, delivered and pending in turn."""

    store: Store
    tenant: Tenant
    loop: LoopRow
    ids: list[int]

    @property
    def dead(self) -> list[int]:
        return self.ids[::3]

    def states(self) -> list[str]:
        """The state of each delivery, in order of creation."""
        query = ListDeliveries(account=self.tenant.view, loop_id="", limit=1000)
        return [d.state for d in reversed(self.store.reader.list_deliveries(self.loop.no, query).data)]

    def due(self) -> list[int]:
        return [d.delivery_id for d in self.store.reader.due_deliveries(self.loop.no, self.store.clock.ms, 1000, [])]


class ReplaySuite:
    """`ReplayLedger`, and the reads of replays."""

    @pytest.fixture
    def history(self, store: Store) -> LoopHistory:
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        ids = []
        for n in range(12):
            made = event(tenant, type=["open", "click"][n % 2], loop_nos=[loop.no, other.no])
            [[id_, of_other]] = store.record(made).delivery_ids
            ids.append(id_)
            store.outcomes(outcome(of_other, state=2, status=500))
            store.clock.ms += 1000
        store.outcomes(*(outcome(i, state=2, status=500) for i in ids[::3]), *(outcome(i) for i in ids[1::3]))
        store.outcomes(*(failed(i, 1, LATER_MS) for i in ids[2::3]))
        store.clock.ms = NOW_MS + 100_000
        return LoopHistory(store, tenant, loop, ids)

    def test_a_replay_requeues_dead_deliveries_in_steps(self, history: LoopHistory) -> None:
        """A replay requeues dead deliveries, oldest first, due now; it counts them and finishes by itself."""
        store = history.store
        started = store.replay(history.loop.no)
        assert (started.state, started.which, started.count, started.done) == ("running", "dead", 4, 0)
        assert history.due() == []
        assert started == store.reader.running_replay(history.loop.no)

        steps = [store.advance(started.id, 3) for _ in range(3)]
        assert [(s.state, s.done) for s in steps] == [("running", 3), ("done", 4), ("done", 4)]
        assert history.due() == history.dead
        assert history.states() == ["pending", "delivered", "pending"] * 4
        assert store.reader.running_replay(history.loop.no) is None

    def test_all_are_the_dead_and_the_delivered(self, history: LoopHistory) -> None:
        """A replay of `all` requeues all but pending deliveries, in order of creation across types and states."""
        started = history.store.replay(history.loop.no, "all")
        while history.store.advance(started.id, 3).state == "running":
            history.store.clock.ms += 1

        assert started.count == 8
        assert history.due() == [i for n, i in enumerate(history.ids) if n % 3 != 2]

    def test_only_the_time_asked_for(self, history: LoopHistory) -> None:
        """The time range includes its start and excludes its end."""
        started = history.store.replay(history.loop.no, "all", NOW_MS + 3000, NOW_MS + 7000)
        ended = history.store.advance(started.id, 100)

        assert (started.count, ended.done, ended.state) == (3, 3, "done")
        assert history.due() == [history.ids[n] for n in (3, 4, 6)]

    def test_nothing_to_replay(self, history: LoopHistory) -> None:
        """A replay of nothing finishes with its first step."""
        started = history.store.replay(history.loop.no, "dead", LATER_MS, LATER_MS + 1)

        assert (started.count, history.store.advance(started.id, 10).state) == (0, "done")

    def test_a_replayed_delivery_starts_with_new_attempts(self, history: LoopHistory) -> None:
        """Attempts of a requeued delivery are forgiven and keep their numbers; only later attempts change it."""
        store, id_ = history.store, history.dead[0]
        store.advance(store.replay(history.loop.no).id, 1)
        [offered] = store.reader.due_deliveries(history.loop.no, store.clock.ms, 10, [])
        assert (offered.delivery_id, offered.attempts, offered.forgiven) == (id_, 1, 1)

        store.outcomes(outcome(id_, 1, state=2, status=500), outcome(id_, 1))
        assert history.states()[0] == "pending"
        again = outcome(id_, 2, status=500, state=2)
        store.outcomes(again)
        assert history.states()[0] == "dead"
        store.outcomes(again, outcome(id_, 1))
        assert history.states()[0] == "dead"

    def test_only_a_new_success_completes_a_replayed_delivery(self, history: LoopHistory) -> None:
        """A success from before the replay, recorded late, does not complete the delivery; a later one does."""
        store, id_ = history.store, history.ids[1]
        store.run(store.writer.retry_delivery(id_))
        store.outcomes(outcome(id_, 1))
        assert history.states()[1] == "pending"

        store.outcomes(outcome(id_, 2))
        store.outcomes(failed(id_, 3, NOW_MS))
        assert history.states()[1] == "delivered"

    def test_a_number_is_not_given_to_two_attempts(self, history: LoopHistory) -> None:
        """Attempt numbers continue after the highest recorded one, even one that did not change the delivery."""
        store, id_ = history.store, history.ids[1]
        store.outcomes(failed(id_, 2, NOW_MS))
        store.run(store.writer.retry_delivery(id_))

        [offered] = store.reader.due_deliveries(history.loop.no, store.clock.ms, 10, [])
        assert (offered.attempts, offered.forgiven) == (2, 2)

    def test_a_replay_passes_each_delivery_once(self, history: LoopHistory) -> None:
        """A delivery that dies again during the replay is not replayed twice."""
        store = history.store
        started = store.replay(history.loop.no)
        for n, id_ in enumerate(history.dead, start=1):
            assert store.advance(started.id, 1).done == n
            assert history.due() == [id_]
            store.outcomes(outcome(id_, 2, status=500, state=2))

        assert store.advance(started.id, 1).state == "done"
        assert history.due() == []

    def test_a_replay_continues_after_a_kill(self, history: LoopHistory) -> None:
        """Another writer continues a running replay, and requeues the remaining deliveries once."""
        store = history.store
        started = store.replay(history.loop.no)
        store.advance(started.id, 2)
        store.outcomes(outcome(history.dead[0], 2, status=500, state=2))
        store.writer = store.successor()
        running = store.reader.running_replay(history.loop.no)
        assert running is not None
        ended = store.advance(running.id, 100)

        assert (running.done, ended.done, ended.state) == (2, 4, "done")
        assert history.due() == history.dead[1:]

    def test_a_cancelled_replay_stops_where_it_is(self, history: LoopHistory) -> None:
        """Requeued deliveries stay due, the rest stay dead; cancelling an ended replay changes nothing."""
        store = history.store
        started = store.replay(history.loop.no)
        store.advance(started.id, 1)
        cancelled = [store.run(store.writer.cancel_replay(started.id)) for _ in range(2)]
        assert [(r.state, r.done) for r in (*cancelled, store.advance(started.id, 9))] == [("cancelled", 1)] * 3
        assert history.due() == history.dead[:1]

        done = store.advance(store.replay(history.loop.no).id, 100)
        assert (done.count, done.state) == (3, "done")
        assert store.run(store.writer.cancel_replay(done.id)) == done

    def test_one_replay_at_a_time(self, history: LoopHistory) -> None:
        """A loop has one running replay at a time; replays of other loops do not conflict."""
        store = history.store
        started = store.replay(history.loop.no)
        with pytest.raises(Conflict, match="cancel"):
            store.replay(history.loop.no, "all")
        store.replay(history.loop.no + 1)
        store.run(store.writer.cancel_replay(started.id))

        assert store.replay(history.loop.no).id != started.id

    def test_more_than_was_counted(self, history: LoopHistory) -> None:
        """Deliveries that die ahead of a running replay are replayed and counted too."""
        store = history.store
        started = store.replay(history.loop.no)
        store.outcomes(outcome(history.ids[-1], 2, status=500, state=2))
        ended = store.advance(started.id, 100)

        assert (started.count, ended.count, ended.done) == (4, 5, 5)

    def test_what_is_not_there(self, history: LoopHistory) -> None:
        """Unknown replays, deliveries and kinds of replay raise errors of the caller."""
        store = history.store
        for work in (
            store.writer.advance_replay(99, 1),
            store.writer.cancel_replay(99),
            store.writer.retry_delivery(999),
        ):
            with pytest.raises(NotFound):
                store.run(work)
        with pytest.raises(InvalidInput):
            store.replay(history.loop.no, "pending")

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_one_delivery_is_retried_whatever_its_state(self, history: LoopHistory, position: int) -> None:
        """A retried delivery, whatever its state, is due now and its attempts are forgiven."""
        store = history.store
        store.run(store.writer.retry_delivery(history.ids[position]))

        [offered] = store.reader.due_deliveries(history.loop.no, store.clock.ms, 10, [])
        assert (offered.delivery_id, offered.due_at_ms, offered.forgiven) == (history.ids[position], store.clock.ms, 1)
        assert store.reader.loops_owed([offered.event_id]) == [history.loop.no]

    def test_replays_are_shown_newest_first(self, history: LoopHistory) -> None:
        """Replays are listed page by page with their progress, for one loop."""
        store, reader = history.store, history.store.reader
        ids = []
        for _ in range(3):
            started = store.replay(history.loop.no)
            ids.append(started.id)
            store.advance(started.id, 100)
        other = store.replay(history.loop.no + 1)
        first = reader.list_replays(history.loop.no, 2, None)
        second = reader.list_replays(history.loop.no, 2, first.next)

        assert [f"rpl_{i}" for i in reversed(ids)] == [r.id for r in (*first.data, *second.data)]
        assert second.next is None
        shown = reader.replay(history.loop.no, ids[0])
        assert shown == second.data[0]
        assert (shown.state, shown.which, shown.count, shown.done) == ("done", "dead", 4, 4)
        assert (shown.since_ms, shown.until_ms, shown.created_at_ms) == (0, 2**47, store.clock.ms)
        assert reader.replay(history.loop.no, other.id) is None
        with pytest.raises(InvalidInput):
            reader.list_replays(history.loop.no, 2, "x")

    def test_a_delivery_is_shown_to_its_account(self, history: LoopHistory) -> None:
        """A delivery comes with its loop's number and attempts, only for its account, unless its loop is deleted."""
        reader, id_ = history.store.reader, history.ids[0]
        found = reader.delivery(history.tenant.no, id_)
        assert found is not None
        loop_no, view = found

        assert (loop_no, view.id, view.state) == (history.loop.no, f"dlv_{id_}", "dead")
        assert [(a.no, a.status) for a in view.attempts] == [(1, 500)]
        assert reader.delivery(history.store.account().no, id_) is None
        assert reader.delivery(history.tenant.no, 999) is None
