"""What waits in the ledger, looked up now and then: counting it at each scrape would cost more the more waits."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from actors.metrics import catalogue as m
from actors.metrics.registry import Tallies
from actors.ports import Clock, LoopBacklog
from domain.breaker import CLOSED, OPEN
from domain.errors import FeedbackLoopsError
from domain.values import LoopState

log = logging.getLogger(__name__)

#: Deliveries that are counted of each kind of handler, at most.
AT_MOST: Final = 100_000
#: Seconds that a look is good for.
FRESH_S: Final = 10.0
#: Seconds that whoever asks waits for a look that is being taken; then the one before is told.
PATIENCE_S: Final = 0.7


class BacklogReader(Protocol):
    """The part of `LedgerReader` that this needs."""

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]: ...


class BacklogLook:
    """Loops by state and breaker, and what is due to them, as of some seconds ago."""

    def __init__(self, reader: BacklogReader, clock: Clock, tallies: Tallies) -> None:
        self._reader = reader
        self._clock = clock
        self._failed = tallies.cell(m.LOOK_FAILED)
        self._loops = {state: tallies.cell(m.LOOPS, state.value) for state in LoopState}
        self._breakers = {state: tallies.cell(m.BREAKERS, state) for state in (CLOSED, OPEN)}
        self._waiting = {handler: tallies.cell(m.WAITING, handler) for handler in m.HANDLERS}
        self._oldest_due_ms: dict[str, int] = {}
        for handler in m.HANDLERS:
            tallies.read_by(m.OLDEST_DUE, self._oldest_reader(handler), handler)
        self._looked_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Takes another look when the last one is old. Never raises; waits `PATIENCE_S` at most."""
        is_looking = self._task is not None and not self._task.done()
        if not is_looking and self._clock.monotonic_s() - self._looked_s >= FRESH_S:
            self._task = asyncio.create_task(self._look(), name="look at backlogs")
        if self._task is not None:
            await asyncio.wait([self._task], timeout=PATIENCE_S)

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._reader.backlogs, self._clock.now_ms(), AT_MOST)
        except FeedbackLoopsError as exc:
            self._failed.value += 1
            log.warning("what waits cannot be looked up now", extra={"action": "look_failed", "error": str(exc)})
            return
        self._looked_s = self._clock.monotonic_s()
        self._take(found)

    def _take(self, found: Sequence[LoopBacklog]) -> None:
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
        for state, cell in self._loops.items():
            cell.value = sums["loops", state]
        for breaker, cell in self._breakers.items():
            cell.value = sums["breakers", breaker]
        for handler, cell in self._waiting.items():
            cell.value = min(sums["waiting", handler], AT_MOST)
        self._oldest_due_ms = oldest

    def _oldest_reader(self, handler: str) -> Callable[[], float]:
        def read() -> float:
            due_ms = self._oldest_due_ms.get(handler)
            return 0.0 if due_ms is None else max(self._clock.now_ms() - due_ms, 0) / 1000

        return read
