"""One thread that writes for everybody: requests that arrive during one commit share the next, and its fsync."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any, Final, NamedTuple, TypeVar

from actors.ledger.sqlite.connection import is_store_failure, refusal
from actors.metrics.figures import CommitFigures
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Rows that may wait. At about a KiB each this bounds the memory that waiting requests take.
MAX_WAITING_ROWS: Final = 50_000
#: Rows in one transaction, unless a single request has more. Bounds how long a request waits for the ones before it.
MAX_COMMIT_ROWS: Final = 4_000
#: Milliseconds that the last checkpoint waits for those who read.
LAST_CHECKPOINT_MS: Final = 1_000


class Request(NamedTuple):
    """Work that somebody waits for."""

    work: Callable[[sqlite3.Cursor], Any]
    rows: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Settled(NamedTuple):
    """What became of a request: a value, or an error."""

    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class GroupCommit:
    """Runs requests in the order they came, many to a transaction.

    Each request is all or nothing and fails alone; its answer is given after the commit, so what was answered is on
    the disk. When the store itself fails, nothing of the transaction was written, or it is not known; everyone in it
    is told so, and the next transaction begins with a new connection.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        max_waiting_rows: int = MAX_WAITING_ROWS,
        max_commit_rows: int = MAX_COMMIT_ROWS,
        figures: CommitFigures | None = None,
    ) -> None:
        """`connect` opens a connection without a transaction of its own; its errors here are the caller's."""
        self._connect = connect
        self._max_waiting_rows = max_waiting_rows
        self._max_commit_rows = max_commit_rows
        self._connection: sqlite3.Connection | None = connect()
        self._waiting: deque[Request] = deque()
        self._figures = figures or CommitFigures()
        self._waiting_rows = 0
        self._closing = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Cursor], R], rows: int) -> R:
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

    def _submit(self, request: Request) -> None:
        with self._changed:
            if self._closing:
                raise StoreUnavailable("the ledger is closed")
            if self._waiting and self._waiting_rows + request.rows > self._max_waiting_rows:
                raise StoreUnavailable(f"the ledger is behind: {self._waiting_rows} rows wait to be written; retry")
            self._waiting.append(request)
            self._waiting_rows += request.rows
            self._figures.waiting_rows.value = self._waiting_rows
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
        self._empty_log()
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
            self._figures.waiting_rows.value = self._waiting_rows
            return requests

    def _settle(self, requests: Sequence[Request]) -> list[Settled]:
        try:
            return self._commit(requests)
        except Exception as exc:
            log.exception("a commit of the ledger failed", extra={"action": "commit_failed", "requests": len(requests)})
            self._figures.failed.value += 1
            self._disconnect()
            return [Settled(request.future, None, _failure(exc)) for request in requests]

    def _commit(self, requests: Sequence[Request]) -> list[Settled]:
        if self._connection is None:
            self._connection = self._connect()
        began_s = time.perf_counter()
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        settled = [_attempt(cursor, request) for request in requests]
        cursor.execute("COMMIT")
        self._figures.committed(sum(request.rows for request in requests), time.perf_counter() - began_s)
        return settled

    def _empty_log(self) -> None:
        """Moves the write-ahead log into the file, which is then the whole store, though others still read it."""
        if self._connection is None:
            return
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {LAST_CHECKPOINT_MS}")
            is_busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                log.info("the ledger's log stays beside it: somebody reads", extra={"action": "checkpoint_skipped"})
        except sqlite3.Error:
            log.warning("the ledger's log stays beside it", exc_info=True, extra={"action": "checkpoint_failed"})

    def _disconnect(self) -> None:
        """Closes the connection, which rolls back what it has not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                log.exception("the ledger's connection did not close", extra={"action": "close_failed"})


def _attempt(cursor: sqlite3.Cursor, request: Request) -> Settled:
    """Runs one request within the transaction; what it raises of its own undoes it alone."""
    cursor.execute("SAVEPOINT request")
    try:
        settled = Settled(request.future, request.work(cursor), None)
    except Exception as exc:
        if is_store_failure(exc):
            raise
        cursor.execute("ROLLBACK TO request")
        settled = Settled(request.future, None, refusal(exc))
    cursor.execute("RELEASE request")
    return settled


def _failure(cause: Exception) -> StoreUnavailable:
    error = StoreUnavailable(f"the ledger cannot be written now ({cause})")
    error.__cause__ = cause
    return error


def _announce(requests: Sequence[Request], settled: Sequence[Settled]) -> None:
    """Wakes each event loop once, however many of its callers were served."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Settled]] = {}
    for request, outcome in zip(requests, settled, strict=True):
        by_loop.setdefault(request.loop, []).append(outcome)
    for loop, outcomes in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, outcomes)
        except RuntimeError:  # the loop is closed: nobody waits
            facts = {"action": "answers_late", "requests": len(outcomes)}
            log.warning("the ledger's answers came after their event loop ended", extra=facts)


def _resolve(outcomes: Sequence[Settled]) -> None:
    for future, value, error in outcomes:
        if future.done():  # cancelled meanwhile
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
