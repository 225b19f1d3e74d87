"""Recorder of attempt outcomes: writes them to the ledger in batches, and retries until it succeeds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from actors.ports import LedgerWriter
from domain.breaker import Breaker
from domain.delivery import AttemptOutcome, LaneHealth

log = logging.getLogger(__name__)

BATCH: Final = 256
#: How long an outcome waits for others. The delivery is done; only its record comes a little later.
GATHER_S: Final = 0.01
FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 5.0
#: If only `last_success_ms` has changed, it is recorded when it differs by at least this.
SUCCESS_NEWS_MS: Final = 1000


class OutcomeRecorder:
    """Writes outcomes to the ledger, and reports the batches that are recorded.

    Recording is idempotent, so a batch with an unknown result is sent again. The breaker's health goes with a batch
    when it has changed.
    """

    def __init__(
        self,
        loop_no: int,
        loop_id: str,
        ledger: LedgerWriter,
        breaker: Breaker,
        on_recorded: Callable[[Sequence[AttemptOutcome]], None],
    ) -> None:
        self._loop_no = loop_no
        self._loop_id = loop_id
        self._ledger = ledger
        self._breaker = breaker
        self._on_recorded = on_recorded
        self._recorded_health = breaker.health
        self._waiting: list[AttemptOutcome] = []
        self._wake = asyncio.Event()
        self._flushes: list[asyncio.Future[None]] = []
        self._is_closing = False
        #: Whether the ledger refused the last batch.
        self.is_stuck = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the task that records."""
        self._task = asyncio.create_task(self._record_forever(), name="record-outcomes")

    def add(self, outcome: AttemptOutcome) -> None:
        """Queues an outcome; never blocks."""
        self._waiting.append(outcome)
        self._wake.set()

    def record_health(self) -> None:
        """Records the health soon if it has changed, even without outcomes; never blocks."""
        self._wake.set()

    async def flush(self) -> None:
        """Returns when everything so far is recorded, however long that takes."""
        flushed = asyncio.get_running_loop().create_future()
        self._flushes.append(flushed)
        self._wake.set()
        await flushed

    async def close(self, within_s: float) -> None:
        """Returns when everything is recorded, or after `within_s`. Deliveries whose outcomes are lost are repeated."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._waiting:
            facts = {"action": "outcomes_lost", "loop_id": self._loop_id, "count": len(self._waiting)}
            log.warning("outcomes were not recorded", extra=facts)

    async def _record_forever(self) -> None:
        while self._waiting or not self._is_closing:
            await self._wake.wait()
            if len(self._waiting) < BATCH and not self._is_closing:
                await asyncio.sleep(GATHER_S)
            batch = self._waiting[:BATCH]
            await self._record(batch)
            del self._waiting[: len(batch)]
            self._on_recorded(batch)
            if not self._waiting and self._flushes:
                self._end_flushes()
            if not self._waiting and not self._is_closing:
                self._wake.clear()

    def _end_flushes(self) -> None:
        for flushed in self._flushes:
            if not flushed.done():
                flushed.set_result(None)
        self._flushes.clear()

    async def _record(self, batch: Sequence[AttemptOutcome]) -> None:
        backoff_s = FIRST_BACKOFF_S
        health = self._breaker.health
        changed = (self._loop_no, health) if self._has_changed(health) else None
        while batch or changed:
            try:
                await self._ledger.record_outcomes(batch, changed)
            except Exception as exc:  # noqa: BLE001  whatever happened: an event is POSTed twice if its outcome is lost
                facts = {"action": "outcomes_wait", "loop_id": self._loop_id, "count": len(batch), "error": repr(exc)}
                log.warning("outcomes cannot be recorded now; retrying", extra=facts)
                self.is_stuck = True
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
            else:
                self.is_stuck = False
                self._recorded_health = health if changed else self._recorded_health
                return

    def _has_changed(self, health: LaneHealth) -> bool:
        recorded = self._recorded_health
        if health._replace(last_success_ms=recorded.last_success_ms) != recorded:
            return True
        return abs((health.last_success_ms or 0) - (recorded.last_success_ms or 0)) >= SUCCESS_NEWS_MS
