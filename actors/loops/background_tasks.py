"""Background tasks whose failures are logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

Work = Callable[..., Awaitable[None]]


class BackgroundTasks:
    """Runs work in background tasks until it is cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Work, *args: Any) -> None:
        """Starts the work once."""
        task = asyncio.create_task(_logged(work, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def repeat(self, work: Work, pause_s: float) -> None:
        """Starts the work, and starts it again `pause_s` after each end, failed or not."""
        self.run(_forever, work, pause_s)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _forever(work: Work, pause_s: float) -> None:
    while True:
        # A failed round must not end the repetition: the next one starts from the facts again.
        await _logged(work)
        await asyncio.sleep(pause_s)


async def _logged(work: Work, *args: Any) -> None:
    try:
        await work(*args)
    except FeedbackLoopsError as exc:
        log.warning("loops cannot be placed now", extra={"action": "placing_waits", "error": str(exc)})
    except Exception:
        log.exception("placing loops failed", extra={"action": "placing_failed"})
