"""Keeping disk use level: what is older than its age is dropped, a little at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from actors.ports import Clock, RetentionLedger, RetentionLimits
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

DAY_MS: Final = 24 * 3600 * 1000
#: Rows of one transaction: what others wait for at most.
ROWS_AT_ONCE: Final = 500
#: Between two transactions, so that the writer is everybody else's for most of the time.
PAUSE_S: Final = 0.05
#: Between two rounds, when nothing was left.
ROUND_S: Final = 60.0


class Retention:
    """Drops what is older than its age in days; 0 keeps it for ever."""

    def __init__(
        self, ledger: RetentionLedger, clock: Clock, *, deliveries_days: float, attempts_days: float, events_days: float
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._days = (deliveries_days, attempts_days, events_days)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, in the background."""
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """Ends after the transaction under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def drop_all(self) -> int:
        """Drops all that is old enough now, and gives how many rows that were."""
        dropped = 0
        while step := await self._ledger.drop_old(self._limits(), ROWS_AT_ONCE):
            dropped += step
            await asyncio.sleep(PAUSE_S)
        return dropped

    def _limits(self) -> RetentionLimits:
        now_ms = self._clock.now_ms()
        return RetentionLimits(*(now_ms - round(days * DAY_MS) if days else None for days in self._days))

    async def _run(self) -> None:
        while True:
            try:
                if dropped := await self.drop_all():
                    log.info("dropped what is old", extra={"action": "retention", "rows": dropped})
            except StoreUnavailable as exc:
                log.warning("nothing can be dropped now", extra={"action": "retention_failed", "error": str(exc)})
            except Exception:  # the disk fills up when this ends
                log.exception("retention failed", extra={"action": "retention_failed"})
            await asyncio.sleep(ROUND_S)
