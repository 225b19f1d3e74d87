"""Poller of the outbox, for all loops of a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from actors.background_task import BackgroundTask
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.ledger.reader import LedgerReader
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
#: How many polls apart it looks for failing loops.
FAILING_EVERY: Final = 30


class OutboxPoller(BackgroundTask):
    """Reports every `EVERY_S` which loops of the ledger have something due: a retry, a replay, an offer that was lost.

    Every 30 s, and when it polls at once, it also reports the loops whose failed deliveries wait for a later retry:
    their failure clocks have to run. The cost of its queries grows with the loops that are owed something, so an idle
    loop costs nothing.
    """

    def __init__(
        self,
        reader: LedgerReader,
        wall_clock: MonotonicWallClock,
        on_due: Callable[[Sequence[str], Sequence[str]], None],
    ) -> None:
        """`on_due` gets the ids of the loops that have something due, and of failing ones; it must not block."""
        self._reader = reader
        self._wall_clock = wall_clock
        self._on_due = on_due
        self._poll_now = asyncio.Event()
        self._polls_until_failing = 0

    def poll_now(self) -> None:
        """Polls at once, not at the next interval."""
        self._polls_until_failing = 0
        self._poll_now.set()

    async def _run(self) -> None:
        while True:
            self._poll_now.clear()
            try:
                self._on_due(*await asyncio.to_thread(self._poll, finds_failing=self._is_failing_next()))
            except FeedbackLoopsError as exc:
                log.warning("the outbox cannot be read now", extra={"action": "outbox_unreadable", "error": str(exc)})
            except Exception:  # continue: only polling finds deliveries that were not offered
                log.exception("polling the outbox failed", extra={"action": "outbox_failed"})
            try:
                async with asyncio.timeout(EVERY_S):  # wait_for of 3.11 may swallow a cancellation
                    await self._poll_now.wait()
            except TimeoutError:
                pass

    def _is_failing_next(self) -> bool:
        """Whether this poll finds failing loops; counts the polls."""
        is_next = self._polls_until_failing == 0
        self._polls_until_failing = FAILING_EVERY - 1 if is_next else self._polls_until_failing - 1
        return is_next

    def _poll(self, *, finds_failing: bool) -> tuple[Sequence[str], Sequence[str]]:
        due = self._reader.loops_due(self._wall_clock.now_ms())
        return due, self._reader.loops_failing() if finds_failing else ()
