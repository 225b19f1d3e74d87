"""Backlog sampler, with a fake reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from actors.metrics.backlog_sampler import FRESH_S, BacklogSampler
from actors.metrics.registry import Registry
from actors.ports import ErasureBacklog, LoopBacklog
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import FakeClock


class BacklogReader:
    """Fake reader with a backlog."""

    def __init__(self, *groups: LoopBacklog) -> None:
        self.groups = groups
        self.erasures: list[ErasureBacklog] = []
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

    def erasure_backlogs(self) -> Sequence[ErasureBacklog]:
        return self.erasures


def values(registry: Registry) -> dict[tuple[str, ...], float]:
    return {(name, *labels): value for name, labels, value in registry.snapshot().numbers if value}


def test_waiting_deliveries_are_counted_by_reason() -> None:
    """Deliveries of an active loop wait for the service or for a handler that is down; all others are held."""

    async def scenario() -> None:
        clock, registry = FakeClock(), Registry()
        sampler = BacklogSampler(
            BacklogReader(
                LoopBacklog("active", "closed", 3, 7, clock.ms - 2000),
                LoopBacklog("active", "open", 1, 100_000, clock.ms - 90_000),
                LoopBacklog("paused", "closed", 2, 60_000, clock.ms - 1000),
                LoopBacklog("disabled", "open", 1, 60_000, clock.ms - 5000),
            ),
            clock,
            registry,
        )
        await sampler.refresh()
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


def test_samples_are_reused_for_a_while() -> None:
    """The ledger is read at most every ten seconds, however often the sampler is refreshed."""

    async def scenario() -> list[int]:
        clock = FakeClock()
        ledger = BacklogReader()
        sampler = BacklogSampler(ledger, clock, Registry())
        await asyncio.gather(sampler.refresh(), sampler.refresh())
        await sampler.refresh()
        looks = [ledger.looks]
        clock.ms += round(FRESH_S * 1000)
        await sampler.refresh()
        return [*looks, ledger.looks]

    assert asyncio.run(scenario()) == [1, 2]


def test_a_slow_sample_blocks_no_caller() -> None:
    """Callers get the previous counts, and no second sample starts while one is in progress."""

    async def scenario() -> None:
        ledger = BacklogReader(LoopBacklog("active", "closed", 1, 1, 1))
        sampler = BacklogSampler(ledger, FakeClock(), Registry())
        ledger.gate.clear()
        try:
            await sampler.refresh()
            await sampler.refresh()
            assert ledger.looks == 1
        finally:
            ledger.gate.set()

    asyncio.run(scenario())


def test_a_ledger_that_cannot_be_read_is_counted() -> None:
    """The previous counts stay, and the failure is counted."""

    async def scenario() -> None:
        clock, registry = FakeClock(), Registry()
        ledger = BacklogReader(LoopBacklog("active", "closed", 1, 4, clock.ms))
        sampler = BacklogSampler(ledger, clock, registry)
        await sampler.refresh()
        ledger.failure = StoreUnavailable("locked")
        clock.ms += round(FRESH_S * 1000)
        await sampler.refresh()
        assert values(registry)["deliveries_waiting", "up"] == 4
        assert values(registry)["backlog_looks_failed",] == 1

    asyncio.run(scenario())


def test_erasures_are_counted_by_what_they_wait_for() -> None:
    """So that an operator hears of a front end that is off; those that have completed count no more."""

    async def scenario() -> None:
        clock, registry = FakeClock(), Registry()
        ledger = BacklogReader()
        ledger.erasures = [
            ErasureBacklog("front_ends", 2, clock.ms - 7_200_000), ErasureBacklog("service", 1, clock.ms - 500)
        ]  # fmt: skip
        sampler = BacklogSampler(ledger, clock, registry)
        await sampler.refresh()
        assert values(registry) == {
            ("erasures_running", "front_ends"): 2,
            ("erasures_running", "service"): 1,
            ("erasures_oldest_seconds", "front_ends"): 7200,
            ("erasures_oldest_seconds", "service"): 0.5,
        }
        ledger.erasures = []
        clock.ms += round(FRESH_S * 1000)
        await sampler.refresh()
        assert values(registry) == {}

    asyncio.run(scenario())
