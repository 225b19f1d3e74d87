"""Contract suite for rollups and statistics. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from domain.statistics import ANSWERS, BUCKETS, KEPT_MINUTES, MINUTE_MS
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, event, failed, outcome

MINUTE = NOW_MS // MINUTE_MS


class StatisticsSuite:
    """`StatisticsReader`: counts are exact despite repeated batches, and old ones expire."""

    def test_attempts_are_counted_by_answer_and_duration(self, store: Store) -> None:
        """Each attempt is counted once, for its loop, in the minute in which it started."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        owed = [event(tenant, loop_nos=[loop.no]) for _ in range(4)]
        ids = [of_event[0] for of_event in store.record(*owed).delivery_ids]
        store.outcomes(
            outcome(ids[0], duration_ms=5),
            outcome(ids[1], duration_ms=6, status=302, error="redirect"),
            failed(ids[2], 1, NOW_MS),
            outcome(ids[3], status=None, error="timeout", duration_ms=15_001, at_ms=NOW_MS + MINUTE_MS),
        )

        found = store.reader.attempt_minutes(loop.no, MINUTE)
        assert [(m.minute, m.counts.answers) for m in found] == [
            (MINUTE, [1, 1, 0, 1, 0]),
            (MINUTE + 1, [0, 0, 0, 0, 1]),
        ]
        assert found[0].counts.buckets[:3] == [1, 1, 1]
        assert found[1].counts.buckets == [0] * (BUCKETS - 1) + [1]
        total = store.reader.attempts_since(loop.no, MINUTE)
        assert (total.answers, sum(total.buckets)) == ([1, 1, 0, 1, 1], 4)
        assert store.reader.attempts_since(loop.no, MINUTE + 2).answers == [0] * len(ANSWERS)
        assert store.reader.attempt_minutes(other.no, 0) == []

    def test_outcomes_sent_again_are_counted_once(self, store: Store) -> None:
        """A repeated batch, and outcomes of deliveries that were dropped meanwhile, are not counted."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        ((first,),) = store.record(event(tenant, loop_nos=[loop.no])).delivery_ids
        for _ in range(2):
            store.outcomes(outcome(first))
        store.outcomes(outcome(first + 1000))

        assert store.reader.attempts_since(loop.no, 0).answers == [1, 0, 0, 0, 0]

    def test_deliveries_are_counted_by_event_and_state(self, store: Store) -> None:
        """Only those of the account's events and of loops that are not deleted, without zeros."""
        tenant, stranger = store.account(), store.account()
        loops = [store.active_loop(tenant) for _ in range(3)]
        foreign = store.active_loop(stranger)
        made = [
            event(tenant, loop_nos=[loop.no for loop in loops]),
            event(tenant),
            event(stranger, loop_nos=[foreign.no]),
        ]
        deliveries = store.record(*made).delivery_ids[0]
        store.outcomes(outcome(deliveries[0]))
        store.change(loops[2].id, lambda loop: loop.delete(NOW_MS + 2))

        found = store.reader.delivery_counts(tenant.no, [each.event_id for each in made])
        event_name = id_text("evt", made[0].event_id)
        assert {(each.event, each.state, each.count) for each in found} == {
            (event_name, "delivered", 1),
            (event_name, "pending", 1),
        }
        assert store.reader.delivery_counts(tenant.no, []) == []

    def test_events_are_counted_by_type(self, store: Store) -> None:
        """Each event is counted once, for its account, by its own time."""
        tenant, stranger = store.account(), store.account()
        late = event(tenant, time_ms=NOW_MS - MINUTE_MS)
        batch = [event(tenant), event(tenant), event(tenant, type="click"), late, event(stranger)]
        store.record(*batch)
        store.record(batch[0], event(tenant, type="click"), batch[0])

        found = [(m.minute, m.type, m.count) for m in store.reader.event_minutes(tenant.no, 0)]
        assert found == [(MINUTE - 1, "open", 1), (MINUTE, "open", 2), (MINUTE, "click", 2)]
        assert store.reader.event_minutes(tenant.no, MINUTE + 1) == []

    def test_old_minutes_go(self, store: Store) -> None:
        """Counts are kept for a day; events older than that are not counted."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        for minutes in (0, KEPT_MINUTES + 1):
            store.clock.ms = at_ms = NOW_MS + minutes * MINUTE_MS
            ((number,),) = store.record(event(tenant, loop_nos=[loop.no], time_ms=at_ms)).delivery_ids
            store.outcomes(outcome(number, at_ms=at_ms))
        store.record(event(tenant, time_ms=NOW_MS))

        assert [m.minute for m in store.reader.attempt_minutes(loop.no, 0)] == [MINUTE + KEPT_MINUTES + 1]
        assert [m.minute for m in store.reader.event_minutes(tenant.no, 0)] == [MINUTE + KEPT_MINUTES + 1]

    def test_the_backlog_is_counted_up_to_a_limit(self, store: Store) -> None:
        """The backlog counts pending deliveries, due or not; the newest delivery gives the time of creation."""
        tenant = store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        assert (store.reader.backlog(loop.no, 10), store.reader.newest_delivery_ms(loop.no)) == (0, None)
        ids = store.record(*[event(tenant, loop_nos=[loop.no]) for _ in range(5)]).delivery_ids
        store.outcomes(failed(ids[0][0], 1, NOW_MS + 1000), outcome(ids[1][0]))
        store.clock.ms += 7
        store.record(event(tenant, loop_nos=[other.no]))

        assert [store.reader.backlog(loop.no, n) for n in (3, 10)] == [3, 4]
        assert store.reader.newest_delivery_ms(loop.no) == NOW_MS
        assert store.reader.newest_delivery_ms(other.no) == NOW_MS + 7

    def test_deliveries_of_an_event_are_found(self, store: Store) -> None:
        """Deliveries of an event come with their loops, only for the owning account, without deleted loops."""
        tenant, stranger = store.account(), store.account()
        loop, other = store.active_loop(tenant), store.active_loop(tenant)
        made = event(tenant, loop_nos=[loop.no, other.no])
        ((first, second),) = store.record(made).delivery_ids

        found = [(first, loop.id), (second, other.id)]
        assert store.reader.deliveries_of_event(tenant.no, made.event_id, 10) == found
        assert store.reader.deliveries_of_event(tenant.no, made.event_id, 1) == found[:1]
        assert store.reader.deliveries_of_event(stranger.no, made.event_id, 10) == []
