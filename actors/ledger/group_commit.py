"""Group commit: one thread writes all requests, and those that arrive during a commit share the next one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any, Final, NamedTuple, TypeVar

from actors.ledger.session import StoreSession, Work, WorkResult
from actors.metrics.instruments import CommitInstruments
from domain.errors import SessionLost, StoreUnavailable

log = logging.getLogger(__name__)

R = TypeVar("R")

#: The most rows that may wait. At about a KiB each, this bounds the memory of waiting requests.
MAX_WAITING_ROWS: Final = 50_000
#: The most rows in one transaction, unless a single request has more. This bounds how long a request waits.
MAX_COMMIT_ROWS: Final = 4_000
#: Seconds that a patient request waits for others to share their commit.
PATIENCE_S: Final = 0.02
#: Seconds before the same failure is logged again.
SAME_FAILURE_S: Final = 30.0
#: Seconds after a commit during which `check` trusts that the store can be written.
FRESH_S: Final = 5.0


class Request(NamedTuple):
    """Work whose caller waits for the future, on its own event loop."""

    work: Work[Any]
    rows: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    #: When it must be written (monotonic): at once, unless it is patient.
    due_s: float


class Outcome(NamedTuple):
    """The outcome of a request: a value or an error."""

    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class GroupCommit:
    """Runs many requests per transaction. Each request sees everything that was answered before it was made.

    A request is all or nothing, and fails on its own. It is answered after the commit, so every answer is durable. If
    the store itself fails, nothing of the transaction was written or its outcome is unknown: all requests in it get the
    error, and the next transaction starts with a new connection.
    """

    def __init__(
        self,
        connect: Callable[[], StoreSession],
        first: StoreSession | None = None,
        max_waiting_rows: int = MAX_WAITING_ROWS,
        max_commit_rows: int = MAX_COMMIT_ROWS,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Starts the writer's thread. `connect` makes a session after each failure, and at first if `first` is None."""
        self._connect = connect
        self._max_waiting_rows = max_waiting_rows
        self._max_commit_rows = max_commit_rows
        self._patience_s = patience_s
        self._session = first
        self._waiting: deque[Request] = deque()
        #: Replaced by the process that exports metrics.
        self.instruments = CommitInstruments()
        self._waiting_rows = 0
        #: When the next transaction must begin (monotonic).
        self._due_s = float("inf")
        self._closing = False
        self._changed = Condition()
        self._failure: str | None = None
        self._logged_at_s = 0.0
        self._committed_at_s = float("-inf")
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[R], rows: int, *, is_patient: bool = False) -> R:
        """Runs `work` in the writer's thread and returns its result once it is durable.

        `rows` is roughly the number of rows it writes. `is_patient`: it waits a little for other requests,
        which then need not wait for its commit. Cancelling the caller does not undo the work.

        Raises:
            ConcurrentWrite: a unique value is taken; nothing was written.
            StoreUnavailable: too much is waiting, the store failed, or the ledger is closed.
            Exception: whatever `work` raised; nothing was written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        due_s = time.monotonic() + self._patience_s if is_patient else 0.0
        self._submit(Request(work, rows, loop, future, due_s))
        return await future

    async def check(self, within_s: float) -> None:
        """Returns if the store can be written. Commits an empty transaction to find out, unless one just succeeded.

        Raises:
            StoreUnavailable: the store cannot be written, or did not answer in time; the text gives the reason.
        """
        if self._failure is None and time.monotonic() - self._committed_at_s < FRESH_S:
            return
        try:
            async with asyncio.timeout(within_s):
                await self.run(_write_nothing, 0)
        except TimeoutError:
            raise StoreUnavailable(self._failure or f"the store has not answered within {within_s:g} s") from None

    def _submit(self, request: Request) -> None:
        with self._changed:
            if self._closing:
                raise StoreUnavailable("the ledger is closed")
            if self._waiting and self._waiting_rows + request.rows > self._max_waiting_rows:
                raise StoreUnavailable(f"the ledger is behind: {self._waiting_rows} rows wait to be written; retry")
            self._waiting.append(request)
            self._waiting_rows += request.rows
            self.instruments.waiting_rows.value = self._waiting_rows
            if request.due_s < self._due_s:
                self._due_s = request.due_s
                self._changed.notify()

    async def close(self) -> None:
        """Refuses new requests, and returns when all accepted ones are written and the connection is closed."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    # --- in the writer's thread

    def _run(self) -> None:
        while requests := self._next_requests():
            _announce(requests, self._commit(requests))
        if self._session is not None:
            self._session.finish()
        self._disconnect()

    def _next_requests(self) -> list[Request]:
        """Waits for the requests of the next transaction; an empty list after `close`."""
        with self._changed:
            while not self._closing and (wait_s := self._due_s - time.monotonic()) > 0:
                self._changed.wait(None if wait_s == float("inf") else wait_s)
            requests: list[Request] = []
            rows = 0
            while self._waiting and (not requests or rows + self._waiting[0].rows <= self._max_commit_rows):
                requests.append(self._waiting.popleft())
                rows += requests[-1].rows
            self._waiting_rows -= rows
            self._due_s = 0.0 if self._waiting else float("inf")
            self.instruments.waiting_rows.value = self._waiting_rows
            return requests

    def _commit(self, requests: Sequence[Request]) -> list[Outcome]:
        try:
            began_s = time.perf_counter()
            results = self._run_in_session([request.work for request in requests])
        except Exception as exc:  # noqa: BLE001 - every failure must reach the callers
            self.instruments.failed.value += 1
            self._disconnect()
            error = _store_unavailable(exc)
            self._note(error, len(requests))
            return [Outcome(request.future, None, error) for request in requests]
        self.instruments.committed(sum(request.rows for request in requests), time.perf_counter() - began_s)
        self._committed_at_s = time.monotonic()
        self._note(None, len(requests))
        return [Outcome(request.future, *result) for request, result in zip(requests, results, strict=True)]

    def _run_in_session(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """Runs the requests in one transaction.

        Servers and poolers close idle connections. If the session that was kept has ended, a new one runs the requests.
        """
        if self._session is not None:
            try:
                return self._session.commit(works)
            except SessionLost:
                self._disconnect()
        self._session = self._connect()
        return self._session.commit(works)

    def _note(self, error: StoreUnavailable | None, requests: int) -> None:
        """Logs when the store starts to fail, when the failure changes, and when the store recovers."""
        failure = None if error is None else str(error)
        now_s = time.monotonic()
        if failure == self._failure and (failure is None or now_s - self._logged_at_s < SAME_FAILURE_S):
            return
        self._failure, self._logged_at_s = failure, now_s
        if error is None:
            log.info("the ledger can be written again", extra={"action": "ledger_recovered"})
        else:
            extra = {"action": "ledger_failed", "requests": requests, "error": failure}
            log.warning("the ledger cannot be written", exc_info=error.__cause__, extra=extra)

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _write_nothing(_cursor: object) -> None:
    """The work of `check`: the commit itself shows whether the store can be written."""


def _store_unavailable(cause: Exception) -> StoreUnavailable:
    if isinstance(cause, StoreUnavailable):
        return cause
    error = StoreUnavailable(f"the ledger cannot be written now ({cause})")
    error.__cause__ = cause
    return error


def _announce(requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
    """Wakes each event loop once, however many of its callers are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for request, outcome in zip(requests, outcomes, strict=True):
        by_loop.setdefault(request.loop, []).append(outcome)
    for loop, its_outcomes in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, its_outcomes)
        except RuntimeError:  # the event loop is closed, so no one waits
            extra = {"action": "answers_late", "requests": len(its_outcomes)}
            log.warning("an event loop closed before the ledger answered its requests", extra=extra)


def _resolve(outcomes: Sequence[Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():  # cancelled in the meantime
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
