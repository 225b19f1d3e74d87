"""The tasks that make a lane's attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class WorkerPool:
    """At most `size` tasks, each running `work`, which decides what to do and suspends itself with `idle`.

    Workers are long-lived: a task per delivery would cost a tenth of a POST.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], size: int) -> None:
        self._work = work
        self._size = size
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []

    @property
    def has_surplus(self) -> bool:
        """Whether there are too many workers, so that the one that asks should exit."""
        return len(self._tasks) > self._size

    def wake(self, count: int) -> None:
        """Wakes up to `count` idle workers, and starts new ones if there are fewer."""
        missing = count - self._wake_idle(count)
        for _ in range(min(missing, self._size - len(self._tasks))):
            task = asyncio.create_task(self._work(), name="deliver")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def resize(self, size: int) -> None:
        """Adapts to a new size: surplus workers finish their current delivery and exit."""
        self._size = size
        self._wake_idle(len(self._idle))

    async def idle(self) -> None:
        """Suspends the calling worker until it is woken."""
        woken = asyncio.get_running_loop().create_future()
        self._idle.append(woken)
        await woken

    def leave(self) -> None:
        """Removes the calling worker right away: if it counted until its task ends, the next one would exit as well."""
        self._tasks.discard(asyncio.current_task())

    async def stop(self, drain_s: float) -> None:
        """Lets the workers finish their current deliveries for at most `drain_s` seconds, and cancels the others."""
        tasks = set(self._tasks)
        self.resize(0)
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=drain_s)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _wake_idle(self, count: int) -> int:
        woken = 0
        while self._idle and woken < count:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                woken += 1
        return woken
