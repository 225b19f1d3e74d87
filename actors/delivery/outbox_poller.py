"""Looking into the outbox for all loops of a process at once, for what nobody told them of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.ledger.port import LedgerReader
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: The outbox is looked into this often even when nobody said that there is something in it.
EVERY_S: Final = 1.0


class OutboxPoller:
    """Tells every `EVERY_S` which loops of the whole ledger are due: a retry, a replay, an offer that was lost.

    One query, whose cost grows with the loops that are owed something; so a loop that rests costs nothing.
    """

    def __init__(self, reader: LedgerReader, time: MonotonicWallClock, on_due: Callable[[Sequence[str]], None]) -> None:
        """`on_due` gets the ids, and must not block."""
        self._reader = reader
        self._time = time
        self._on_due = on_due
        self._look_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch, in the running event loop."""
        self._task = asyncio.create_task(self._watch_forever(), name="watch-outbox")

    async def stop(self) -> None:
        """Watches no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look_now(self) -> None:
        """Does not wait for the next time."""
        self._look_now.set()

    async def _watch_forever(self) -> None:
        while True:
            self._look_now.clear()
            try:
                self._on_due(await asyncio.to_thread(self._reader.loops_due, self._time.now_ms()))
            except FeedbackLoopsError as exc:
                log.warning("the outbox cannot be read now", extra={"action": "outbox_unreadable", "error": str(exc)})
            except Exception:  # the watch must go on: it is what finds deliveries that nobody offered
                log.exception("looking into the outbox failed", extra={"action": "outbox_failed"})
            try:
                async with asyncio.timeout(EVERY_S):  # wait_for of 3.11 may swallow being cancelled
                    await self._look_now.wait()
            except TimeoutError:
                pass
