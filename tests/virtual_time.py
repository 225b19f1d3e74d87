"""Virtual time: an event loop in which waiting takes no time, and the real ledger in the same thread.

Everything runs in one thread, in an order that depends on nothing outside, so every run can be repeated exactly.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.outbox import SQLiteWrites
from actors.ledger.writer import StoreWriter

R = TypeVar("R")
Watch = Callable[[], AbstractContextManager[None]]

#: Duration of each half of a commit.
HALF_COMMIT_S = 0.001


class _Selector(selectors.SelectSelector):
    """Advances the virtual time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is set")
        self.now_s += max(timeout, 0.0)
        return []  # no other thread or process can have written anything


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when there is nothing else to do. Work for a thread runs at once, and its result arrives later."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6
        #: Delay of a result from another thread.
        self.thread_s = 0.002
        self._scheduled: list[asyncio.TimerHandle]

    def time(self) -> float:
        return self._virtual.now_s

    def run_in_executor(self, _executor: Any, func: Callable[..., R], *args: Any) -> asyncio.Future[R]:  # type: ignore[override]
        future: asyncio.Future[R] = self.create_future()
        try:
            settle: Callable[[], None] = partial(_settle, future.set_result, future, func(*args))
        except Exception as exc:  # noqa: BLE001  the caller gets every error
            settle = partial(_settle, future.set_exception, future, exc)
        self.call_later(self.thread_s, settle)
        return future

    async def kill_others(self) -> None:
        """Ends every other task, and every timer, as the end of a process does."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # a cancelled task may start another
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        for timer in list(self._scheduled):
            timer.cancel()

    def run(self, main: Coroutine[Any, Any, R]) -> R:
        """Runs until `main` has ended; other tasks run meanwhile, and then pause."""
        return self.run_until_complete(main)


def _settle(settle: Callable[[Any], None], future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        settle(value)


class VirtualClock:
    """`Clock` of a virtual loop. The time of day can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.set_by_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return int(self._loop.time() * 1000) + self.set_by_ms

    def monotonic_s(self) -> float:
        return self._loop.time()


class _Commits:
    """`GroupCommit` in the caller's thread: it commits at some time between the call and the answer."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self._watch = watch
        self._connection = open_writer(path)
        self._connection.execute("PRAGMA synchronous = OFF")

    async def run(self, work: Callable[[LedgerCursor], R], _rows: int, *, is_patient: bool = False) -> R:
        await asyncio.sleep(HALF_COMMIT_S)
        cursor = self._connection.cursor(LedgerCursor)
        with self._watch():
            cursor.execute("BEGIN IMMEDIATE")
            try:
                answer = work(cursor)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
        await asyncio.sleep(HALF_COMMIT_S)
        return answer

    async def close(self) -> None:
        self._connection.close()


class VirtualLedger(StoreWriter):
    """The real ledger on an existing file, with commits in virtual time. `watch` surrounds every transaction."""

    def __init__(self, path: Path, clock: VirtualClock, reading: Any, watch: Watch = nullcontext) -> None:
        super().__init__(_Commits(path, watch), reading, SQLiteWrites(), clock)  # type: ignore[arg-type]
