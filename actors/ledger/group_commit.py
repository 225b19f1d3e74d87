"""One thread that writes for everybody: requests that arrive during one commit share the next, and its fsync."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from actors.metrics.instruments import CommitInstruments
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Rows that may wait. At about a KiB each this bounds the memory that waiting requests take.
MAX_WAITING_ROWS: Final = 50_000
#: Rows in one transaction, unless a single request has more. Bounds how long a request waits for the ones before it.
MAX_COMMIT_ROWS: Final = 4_000
#: Seconds within which the same trouble is not logged again.
SAME_TROUBLE_S: Final = 30.0
#: Seconds since the last commit within which the store is taken to be well without asking it.
FRESH_S: Final = 5.0

#: What a request does, given the store's cursor. It may be run twice, the first time undone.
Work = Callable[[Any], R]


class WorkResult(NamedTuple):
    """What became of one piece of work: a value, or an error of its own."""

    value: Any
    error: Exception | None = None


class StoreSession(Protocol):
    """One connection to a store, for its writer."""

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """Does all of it in one transaction, and returns when that is durable. What fails of its own fails alone.

        Raises:
            Exception: the store failed: nothing was written, or it is not known.
        """
        ...

    def finish(self) -> None:
        """Leaves the store as it is best left, before the last `close`. Never raises."""
        ...

    def close(self) -> None:
        """Closes the connection, which rolls back what it has not committed. Never raises."""
        ...


class Request(NamedTuple):
    """Work that somebody waits for."""

    work: Work[Any]
    rows: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Outcome(NamedTuple):
    """What became of a request: a value, or an error."""

    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class GroupCommit:
    """Runs requests many to a transaction; each sees all that was answered before it was made.

    Each request is all or nothing and fails alone; its answer is given after the commit, so what was answered is on
    the disk. When the store itself fails, nothing of the transaction was written, or it is not known; everyone in it
    is told so, and the next transaction begins with a new connection.
    """

    def __init__(
        self,
        connect: Callable[[], StoreSession],
        first: StoreSession | None = None,
        max_waiting_rows: int = MAX_WAITING_ROWS,
        max_commit_rows: int = MAX_COMMIT_ROWS,
    ) -> None:
        """`first` is a session to begin with; without one, and after each failure, `connect` makes one."""
        self._connect = connect
        self._max_waiting_rows = max_waiting_rows
        self._max_commit_rows = max_commit_rows
        self._session = first
        self._waiting: deque[Request] = deque()
        #: Where its transactions are counted.
        self.instruments = CommitInstruments()
        self._waiting_rows = 0
        self._closing = False
        self._changed = Condition()
        self._trouble: str | None = None
        self._logged_at_s = 0.0
        self._well_at_s = float("-inf")
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[R], rows: int) -> R:
        """Has `work` run in the writer's thread, and gives what it gives once it is durable.

        `rows` is about how many it writes. A caller that is cancelled may have written all the same.

        Raises:
            ConcurrentWrite: a unique value is taken; nothing was written.
            StoreUnavailable: too much is waiting, the store failed, or it was closed.
            Exception: what `work` raised; nothing was written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._submit(Request(work, rows, loop, future))
        return await future

    async def check(self, within_s: float) -> None:
        """Returns when the store can be written, which is tried unless it was just now.

        Raises:
            StoreUnavailable: it cannot, or that is not known within the time; says why.
        """
        if self._trouble is None and time.monotonic() - self._well_at_s < FRESH_S:
            return
        try:
            async with asyncio.timeout(within_s):
                await self.run(_nothing, 0)
        except TimeoutError:
            raise StoreUnavailable(self._trouble or f"the store has not answered within {within_s:g} s") from None

    def _submit(self, request: Request) -> None:
        with self._changed:
            if self._closing:
                raise StoreUnavailable("the ledger is closed")
            if self._waiting and self._waiting_rows + request.rows > self._max_waiting_rows:
                raise StoreUnavailable(f"the ledger is behind: {self._waiting_rows} rows wait to be written; retry")
            self._waiting.append(request)
            self._waiting_rows += request.rows
            self.instruments.waiting_rows.value = self._waiting_rows
            self._changed.notify()

    async def close(self) -> None:
        """Takes nothing more, and returns when what was taken is written and the connection is closed."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    # --- in the writer's thread

    def _run(self) -> None:
        while requests := self._take():
            _announce(requests, self._settle(requests))
        if self._session is not None:
            self._session.finish()
        self._disconnect()

    def _take(self) -> list[Request]:
        """The requests of the next transaction, at least one; none at the very end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            requests: list[Request] = []
            rows = 0
            while self._waiting and (not requests or rows + self._waiting[0].rows <= self._max_commit_rows):
                requests.append(self._waiting.popleft())
                rows += requests[-1].rows
            self._waiting_rows -= rows
            self.instruments.waiting_rows.value = self._waiting_rows
            return requests

    def _settle(self, requests: Sequence[Request]) -> list[Outcome]:
        try:
            if self._session is None:
                self._session = self._connect()
            began_s = time.perf_counter()
            done = self._session.commit([request.work for request in requests])
        except Exception as exc:  # noqa: BLE001 - whatever it is, the callers must hear of it
            self.instruments.failed.value += 1
            self._disconnect()
            error = _failure(exc)
            self._note(error, len(requests))
            return [Outcome(request.future, None, error) for request in requests]
        self.instruments.committed(sum(request.rows for request in requests), time.perf_counter() - began_s)
        self._well_at_s = time.monotonic()
        self._note(None, len(requests))
        return [Outcome(request.future, *one) for request, one in zip(requests, done, strict=True)]

    def _note(self, error: StoreUnavailable | None, requests: int) -> None:
        """Logs trouble with the store: that there is some now, that it is another, or that it is over."""
        trouble = None if error is None else str(error)
        now_s = time.monotonic()
        if trouble == self._trouble and (trouble is None or now_s - self._logged_at_s < SAME_TROUBLE_S):
            return
        self._trouble, self._logged_at_s = trouble, now_s
        if error is None:
            log.info("the ledger can be written again", extra={"action": "ledger_recovered"})
        else:
            extra = {"action": "ledger_failed", "requests": requests, "error": trouble}
            log.warning("the ledger cannot be written", exc_info=error.__cause__, extra=extra)

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _nothing(_cursor: object) -> None:
    """Writes nothing: that it was committed says that the store is there."""


def attempt(cursor: Any, work: Work[Any], refusal: Callable[[Exception], Exception | None]) -> WorkResult:
    """Does one piece of work within a transaction; what it raises of its own undoes it alone.

    `refusal` gives what the caller is told of an error, or None for one of the store as a whole, which is raised.
    """
    cursor.execute("SAVEPOINT request")
    try:
        done = WorkResult(work(cursor))
    except Exception as exc:
        told = refusal(exc)
        if told is None:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT request")
        done = WorkResult(None, told)
    cursor.execute("RELEASE SAVEPOINT request")
    return done


def _failure(cause: Exception) -> StoreUnavailable:
    if isinstance(cause, StoreUnavailable):
        return cause
    error = StoreUnavailable(f"the ledger cannot be written now ({cause})")
    error.__cause__ = cause
    return error


def _announce(requests: Sequence[Request], settled: Sequence[Outcome]) -> None:
    """Wakes each event loop once, however many of its callers were served."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for request, outcome in zip(requests, settled, strict=True):
        by_loop.setdefault(request.loop, []).append(outcome)
    for loop, outcomes in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, outcomes)
        except RuntimeError:  # the loop is closed: nobody waits
            facts = {"action": "answers_late", "requests": len(outcomes)}
            log.warning("the ledger's answers came after their event loop ended", extra=facts)


def _resolve(outcomes: Sequence[Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():  # cancelled meanwhile
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
