"""The tasks that make a lane's attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: Who waits for a time looks at the clock at least this often: it may have been set.
MAX_WAIT_S: Final = 1.0


class WorkerPool(Generic[T]):
    """Does one thing after the other in each of at most `limit()` tasks, for as long as there is something to do.

    The tasks are long-lived: one for each delivery would cost a tenth of a POST. Those without work rest until
    `dispatch`, or until the time that `look_in` was told of.
    """

    def __init__(
        self,
        *,
        limit: Callable[[], int],
        openings: Callable[[], int],
        take: Callable[[], T | None],
        do: Callable[[T], Awaitable[None]],
    ) -> None:
        """`openings`: for how many tasks there may be work now. `take`: the next piece of it, None for none now."""
        self._limit = limit
        self._openings = openings
        self._take = take
        self._do = do
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: list[asyncio.Future[None]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0

    def dispatch(self) -> None:
        """There may be work: wakes as many as may have some, and takes on more when all are busy."""
        openings = self._openings()
        missing = openings - self._wake(openings)
        for _ in range(min(missing, self._limit() - len(self._tasks))):
            task = asyncio.create_task(self._work(), name="deliver")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def fit(self) -> None:
        """The limit has changed: those that are too many go home, when they have done what they do."""
        self._wake(len(self._resting))
        self.dispatch()

    def look_in(self, wait_s: float) -> None:
        """Has somebody look for work in so many seconds at the latest."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + min(wait_s, MAX_WAIT_S)
        if self._alarm is not None:
            if self._alarm_s <= at_s:
                return
            self._alarm.cancel()
        # Kept beside: what uvloop gives for a time that has passed cannot say when it rings.
        self._alarm_s = at_s
        self._alarm = loop.call_at(at_s, self._ring)

    async def stop(self) -> None:
        """Cancels whatever they do."""
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ring(self) -> None:
        self._alarm = None
        self.dispatch()

    def _wake(self, count: int) -> int:
        woken = 0
        while self._resting and woken < count:
            resting = self._resting.pop()
            if not resting.done():
                resting.set_result(None)
                woken += 1
        return woken

    async def _work(self) -> None:
        while len(self._tasks) <= self._limit():
            piece = self._take()
            if piece is None:
                rest = asyncio.get_running_loop().create_future()
                self._resting.append(rest)
                await rest
            else:
                await self._do(piece)
        # At once, not when the task is done: the next one to look must not go as well.
        self._tasks.discard(asyncio.current_task())
        self.dispatch()  # what it leaves undone
