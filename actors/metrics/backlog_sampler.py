"""Backlog sampler: counts waiting deliveries and erasures in the ledger every few seconds, not at each scrape.

The cost of counting grows with the backlog.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from actors.metrics import catalogue as m
from actors.metrics.registry import Registry
from actors.ports import Clock, ErasureBacklog, LoopBacklog
from domain.breaker import CLOSED, OPEN
from domain.errors import FeedbackLoopsError
from domain.values import LoopState

log = logging.getLogger(__name__)

#: Maximum count of deliveries for each state of a handler.
AT_MOST: Final = 100_000
#: Seconds until a sample is too old.
FRESH_S: Final = 10.0
#: Seconds that a caller waits for a sample in progress; then the previous sample is reported.
PATIENCE_S: Final = 0.7


class BacklogReader(Protocol):
    """The part of `LedgerReader` that the sampler needs."""

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]: ...
    def erasure_backlogs(self) -> Sequence[ErasureBacklog]: ...


class BacklogSampler:
    """Gauges of loops by state and by breaker, of due deliveries, and of erasures, as of the latest sample."""

    def __init__(self, reader: BacklogReader, clock: Clock, registry: Registry) -> None:
        self._reader = reader
        self._clock = clock
        self._failed = registry.counter(m.BACKLOG_LOOKS_FAILED)
        self._loops = {state: registry.gauge(m.LOOPS, state.value) for state in LoopState}
        self._breakers = {state: registry.gauge(m.BREAKERS, state) for state in (CLOSED, OPEN)}
        self._waiting = {handler: registry.gauge(m.WAITING, handler) for handler in m.HANDLERS}
        self._oldest_due_ms: dict[str, int] = {}
        for handler in m.HANDLERS:
            registry.set_function(m.OLDEST_DUE, partial(self._oldest_s, handler), handler)
        self._erasures = {waits: registry.gauge(m.ERASURES, waits) for waits in m.ERASURE_WAITS}
        self._oldest_erasure_ms: dict[str, int] = {}
        for waits in m.ERASURE_WAITS:
            registry.set_function(m.ERASURE_AGE, partial(self._erasure_s, waits), waits)
        self._sampled_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Takes a new sample if the latest one is too old. Never raises; waits at most `PATIENCE_S`."""
        is_sampling = self._task is not None and not self._task.done()
        if not is_sampling and self._clock.monotonic_s() - self._sampled_s >= FRESH_S:
            self._task = asyncio.create_task(self._sample(), name="sample backlogs")
        if self._task is not None:
            await asyncio.wait([self._task], timeout=PATIENCE_S)

    async def _sample(self) -> None:
        try:
            found = await asyncio.to_thread(self._reader.backlogs, self._clock.now_ms(), AT_MOST)
            erasures = await asyncio.to_thread(self._reader.erasure_backlogs)
        except FeedbackLoopsError as exc:
            self._failed.value += 1
            log.warning("cannot count the waiting deliveries", extra={"action": "look_failed", "error": str(exc)})
            return
        self._sampled_s = self._clock.monotonic_s()
        self._record(found)
        for waits, gauge in self._erasures.items():
            gauge.value = sum(each.erasures for each in erasures if each.waits_for == waits)
        self._oldest_erasure_ms = {each.waits_for: each.oldest_ms for each in erasures}

    def _record(self, found: Sequence[LoopBacklog]) -> None:
        sums: defaultdict[tuple[str, str], int] = defaultdict(int)
        oldest: dict[str, int] = {}
        for group in found:
            is_active = group.state == LoopState.ACTIVE
            handler = "held" if not is_active else "down" if group.breaker == OPEN else "up"
            sums["loops", group.state] += group.loops
            sums["breakers", group.breaker] += group.loops if is_active else 0
            sums["waiting", handler] += group.waiting
            if group.oldest_due_ms is not None:
                oldest[handler] = min(group.oldest_due_ms, oldest.get(handler, group.oldest_due_ms))
        for state, gauge in self._loops.items():
            gauge.value = sums["loops", state]
        for breaker, gauge in self._breakers.items():
            gauge.value = sums["breakers", breaker]
        for handler, gauge in self._waiting.items():
            gauge.value = min(sums["waiting", handler], AT_MOST)
        self._oldest_due_ms = oldest

    def _oldest_s(self, handler: str) -> float:
        return self._seconds_since(self._oldest_due_ms.get(handler))

    def _erasure_s(self, waits_for: str) -> float:
        return self._seconds_since(self._oldest_erasure_ms.get(waits_for))

    def _seconds_since(self, at_ms: int | None) -> float:
        return 0.0 if at_ms is None else max(self._clock.now_ms() - at_ms, 0) / 1000
