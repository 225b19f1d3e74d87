"""Clearing of what deleted rows leave in the files of the store, once a day and slowly."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from actors.ledger.erasure.steps.bytes import ByteClearing
from actors.ports import Clock
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

#: Time between two clearings, which read the whole file, and between two attempts.
EVERY_MS: Final = 24 * 3600 * 1000
AGAIN_MS: Final = 3600 * 1000
#: Seconds of rest for each MiB that is searched. So a search takes a small part of a processor.
REST_S: Final = 0.005


class RetentionClearing:
    """Clears the files if rows were deleted. The first time is an hour after the start."""

    def __init__(self, make: Callable[[Callable[[], None]], ByteClearing], clock: Clock) -> None:
        """`make`: makes the clearing, which calls its argument after each part of the search."""
        self._clearing = make(self._rest)
        self._clock = clock
        self._next_ms = clock.now_ms() + AGAIN_MS
        self._is_needed = False
        self._stopped = threading.Event()

    async def clear_if_due(self, *, has_deleted: bool) -> None:
        """Clears the files if it is time, and something was deleted since the last time.

        Raises:
            StoreUnavailable: the files cannot be cleared now; a later call tries again.
        """
        self._is_needed = self._is_needed or has_deleted
        now_ms = self._clock.now_ms()
        if not self._is_needed or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + AGAIN_MS
        problem = await asyncio.to_thread(self._clearing.clear)
        if problem is not None:
            log.info(
                "bytes of deleted rows cannot be cleared yet", extra={"action": "retention_waits", "reason": problem}
            )
            return
        self._is_needed = False
        self._next_ms = now_ms + EVERY_MS

    def stop(self) -> None:
        """Ends a search that is under way."""
        self._stopped.set()

    def _rest(self) -> None:
        if self._stopped.wait(REST_S):
            raise StoreUnavailable("the process stops")
