"""Background task of erasures: drives those that run, and continues them after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from actors.background_task import BackgroundTask
from actors.ledger.erasure.runner import ErasureRunner
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds between two looks for what running erasures wait for, and between two looks for erasures if none runs.
ROUND_S: Final = 0.5
IDLE_ROUND_S: Final = 5.0
#: Seconds before the same problem is logged again.
SAME_PROBLEM_S: Final = 60.0


class ErasureTask(BackgroundTask):
    """Carries erasures to their end."""

    def __init__(self, runner: ErasureRunner) -> None:
        self._runner = runner
        self._requested = asyncio.Event()
        self._problem = ""
        self._logged_at_s = float("-inf")

    def nudge(self) -> None:
        """Looks for erasures now."""
        self._requested.set()

    async def run_all(self) -> None:
        """Advances every running erasure until each has completed or waits for another process."""
        while await self._runner.advance():
            pass

    def _note(self, error: Exception) -> None:
        """Logs a problem, at most once a minute; an unexpected one only by type, because it may quote data."""
        problem = str(error) if isinstance(error, FeedbackLoopsError) else type(error).__name__
        now_s = asyncio.get_running_loop().time()
        if problem != self._problem or now_s - self._logged_at_s >= SAME_PROBLEM_S:
            self._problem, self._logged_at_s = problem, now_s
            log.warning("erasures cannot go on now", extra={"action": "erasures_delayed", "error": problem})

    async def _run(self) -> None:
        while True:
            self._requested.clear()
            try:
                await self.run_all()
            except Exception as exc:  # noqa: BLE001 - erasures must not stop for good
                self._note(exc)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._requested.wait(), ROUND_S if self._runner.is_busy else IDLE_ROUND_S)
