"""The look at what waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from actors.metrics.backlog_sampler import FRESH_S, BacklogSampler
from actors.metrics.registry import Registry
from actors.ports import LoopBacklog
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import FakeClock


class Waiting:
    """A ledger in which something waits."""

    def __init__(self, *groups: LoopBacklog) -> None:
        self.groups = groups
        self.looks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]:
        assert (now_ms > 0, at_most) == (True, 100_000)
        self.looks += 1
        self.gate.wait(10)
        if self.failure:
            raise self.failure
        return self.groups


def values(registry: Registry) -> dict[tuple[str, ...], float]:
    return {(name, *labels): value for name, labels, value in registry.snapshot().numbers if value}


def test_whose_fault_it_is_that_something_waits() -> None:
    """What an active loop is owed waits for us, or for a handler that is down; what others are owed is held."""

    async def scenario() -> None:
        clock, registry = FakeClock(), Registry()
        look = BacklogSampler(
            Waiting(
                LoopBacklog("active", "closed", 3, 7, clock.ms - 2000),
                LoopBacklog("active", "open", 1, 100_000, clock.ms - 90_000),
                LoopBacklog("paused", "closed", 2, 60_000, clock.ms - 1000),
                LoopBacklog("disabled", "open", 1, 60_000, clock.ms - 5000),
            ),
            clock,
            registry,
        )
        await look.refresh()
        clock.ms += 500

        assert values(registry) == {
            ("loops", "active"): 4,
            ("loops", "paused"): 2,
            ("loops", "disabled"): 1,
            ("breakers", "closed"): 3,
            ("breakers", "open"): 1,
            ("deliveries_waiting", "up"): 7,
            ("deliveries_waiting", "down"): 100_000,
            ("deliveries_waiting", "held"): 100_000,
            ("deliveries_oldest_due_seconds", "up"): 2.5,
            ("deliveries_oldest_due_seconds", "down"): 90.5,
            ("deliveries_oldest_due_seconds", "held"): 5.5,
        }

    asyncio.run(scenario())


def test_a_look_is_good_for_a_while() -> None:
    """The ledger is looked at no more often than every ten seconds, however often it is asked for."""

    async def scenario() -> list[int]:
        clock = FakeClock()
        ledger = Waiting()
        look = BacklogSampler(ledger, clock, Registry())
        await asyncio.gather(look.refresh(), look.refresh())
        await look.refresh()
        looks = [ledger.looks]
        clock.ms += round(FRESH_S * 1000)
        await look.refresh()
        return [*looks, ledger.looks]

    assert asyncio.run(scenario()) == [1, 2]


def test_a_slow_look_holds_nobody_up() -> None:
    """Who asks is told what was found before, and another look is not begun while one is under way."""

    async def scenario() -> None:
        ledger = Waiting(LoopBacklog("active", "closed", 1, 1, 1))
        look = BacklogSampler(ledger, FakeClock(), Registry())
        ledger.gate.clear()
        try:
            await look.refresh()
            await look.refresh()
            assert ledger.looks == 1
        finally:
            ledger.gate.set()

    asyncio.run(scenario())


def test_a_ledger_that_cannot_be_read_is_counted() -> None:
    """The figures of before stay, and the failure is one of the figures."""

    async def scenario() -> None:
        clock, registry = FakeClock(), Registry()
        ledger = Waiting(LoopBacklog("active", "closed", 1, 4, clock.ms))
        look = BacklogSampler(ledger, clock, registry)
        await look.refresh()
        ledger.failure = StoreUnavailable("locked")
        clock.ms += round(FRESH_S * 1000)
        await look.refresh()
        assert values(registry)["deliveries_waiting", "up"] == 4
        assert values(registry)["backlog_looks_failed",] == 1

    asyncio.run(scenario())
