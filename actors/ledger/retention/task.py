"""Background task of retention: deletes expired rows a little at a time, so that disk use stays level."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NamedTuple

from actors.background_task import BackgroundTask
from actors.ledger.retention.clearing import RetentionClearing
from actors.ports import Clock, RetentionLedger, RetentionLimits
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

DAY_MS: Final = 24 * 3600 * 1000
#: Rows deleted in one transaction. This bounds how long other writes wait.
ROWS_AT_ONCE: Final = 500
#: Seconds between two transactions, so that the writer is mostly free for others.
PAUSE_S: Final = 0.05
#: Seconds between two rounds, once nothing is left to delete.
ROUND_S: Final = 60.0


class KeptDays(NamedTuple):
    """Days for which each kind of row is kept, in the order of `RetentionLimits`; 0: forever."""

    deliveries: float
    attempts: float
    events: float
    messages: float = 0
    mails: float = 0
    profile_history: float = 0


class Retention(BackgroundTask):
    """Deletes rows older than a number of days per kind.

    After `stop`, a transaction in progress still completes.
    """

    def __init__(
        self, ledger: RetentionLedger, clock: Clock, days: KeptDays, clearing: RetentionClearing | None = None
    ) -> None:
        """`clearing`: of files that keep bytes of deleted rows."""
        self._ledger = ledger
        self._clearing = clearing
        self._clock = clock
        self._days = days

    async def stop(self) -> None:
        if self._clearing is not None:
            self._clearing.stop()
        await super().stop()

    async def drop_all(self) -> int:
        """Deletes everything that has expired by now, and returns the number of rows."""
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
                    log.info("deleted expired rows", extra={"action": "retention", "rows": dropped})
                if self._clearing is not None:
                    await self._clearing.clear_if_due(has_deleted=dropped > 0)
            except StoreUnavailable as exc:
                log.warning(
                    "expired rows cannot be deleted now", extra={"action": "retention_failed", "error": str(exc)}
                )
            except Exception:  # otherwise the disk fills up
                log.exception("retention failed", extra={"action": "retention_failed"})
            await asyncio.sleep(ROUND_S)
