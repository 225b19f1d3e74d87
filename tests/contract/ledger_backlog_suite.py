"""Contract suite for backlog summaries. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from actors.ports import LoopBacklog
from domain.breaker import CLOSED, OPEN
from domain.delivery import LaneHealth
from domain.feedback_loop import FeedbackLoop
from domain.values import DeliveryState
from tests.contract.ledger_facts import NOW_MS, Store, event, failed, outcome

MANY = 1000


def found(store: Store, at_most: int = MANY) -> dict[tuple[str, str], tuple[int, int, int | None]]:
    """The backlogs as (loops, waiting deliveries, oldest due time) by loop state and breaker state."""
    groups = store.reader.backlogs(store.clock.ms, at_most)
    assert len({(g.state, g.breaker) for g in groups}) == len(groups)
    return {(g.state, g.breaker): (g.loops, g.waiting, g.oldest_due_ms) for g in groups}


def paused(store: Store, loop: FeedbackLoop) -> None:
    loop.verify("https://example.com/proof.txt", NOW_MS + 1)
    loop.pause(NOW_MS + 2)
    store.append(loop)


class BacklogSuite:
    """`LedgerReader.backlogs`."""

    def test_due_deliveries_are_counted_by_state_and_breaker(self, store: Store) -> None:
        """Only pending deliveries that are due count; loops with open and closed breakers are separate groups."""
        tenant = store.account()
        up, down = store.active_loop(tenant), store.active_loop(tenant)
        paused(store, tenant.loop())
        store.append(tenant.loop())
        recorded = store.record(*(event(tenant, loop_nos=[up.no, down.no]) for _ in range(4)))
        first = [ids[0] for ids in recorded.delivery_ids]
        store.clock.ms += 5000
        store.outcomes(
            failed(first[0], 1, NOW_MS + 60_000),
            outcome(first[1]),
            outcome(first[2], state=DeliveryState.DEAD),
        )
        store.outcomes(health=(down.no, LaneHealth(OPEN, NOW_MS, None, NOW_MS, 5, NOW_MS + 1)))

        assert found(store) == {
            ("active", CLOSED): (1, 1, NOW_MS),
            ("active", OPEN): (1, 4, NOW_MS),
            ("paused", CLOSED): (1, 0, None),
            ("unverified", CLOSED): (1, 0, None),
        }

        store.clock.ms = NOW_MS + 60_000
        assert found(store)["active", CLOSED] == (1, 2, NOW_MS)

    def test_the_count_has_a_limit(self, store: Store) -> None:
        """The limit applies to all loops of a group together; the oldest delivery is found nevertheless."""
        tenant = store.account()
        loops = [store.active_loop(tenant) for _ in range(2)]
        store.record(*(event(tenant, loop_nos=[loop.no for loop in loops]) for _ in range(5)))
        store.clock.ms += 1

        assert found(store, at_most=7) == {("active", CLOSED): (2, 7, NOW_MS)}
        assert store.reader.backlogs(store.clock.ms, 0) == [LoopBacklog("active", CLOSED, 2, 0, NOW_MS)]

    def test_deleted_loops_are_not_counted(self, store: Store) -> None:
        """Deleted loops and their deliveries are not counted."""
        tenant = store.account()
        loop = tenant.loop()
        loop.verify("x", NOW_MS + 1)
        store.append(loop)
        loop.delete(NOW_MS + 2)
        store.append(loop)

        assert found(store) == {}
