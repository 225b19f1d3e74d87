"""The writer's session with a store: runs requests in one transaction, in which each can fail on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

R = TypeVar("R")

#: One request to the store, given its cursor. It may run twice; the first run is then rolled back.
Work = Callable[[Any], R]


class WorkResult(NamedTuple):
    """The result of one request: a value, or its own error."""

    value: Any
    error: Exception | None = None


class StoreSession(Protocol):
    """The writer's connection to a store."""

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """Runs all requests in one transaction and returns when it is durable. A request's own error undoes only it.

        Raises:
            SessionLost: nothing was written; a new session may run the requests again.
            Exception: the store failed; nothing was written, or the outcome is unknown.
        """
        ...

    def finish(self) -> None:
        """Prepares the store for a long rest, just before the last `close`. Never raises."""
        ...

    def close(self) -> None:
        """Closes the connection, which rolls back an open transaction. Never raises."""
        ...


def run_in_savepoint(
    cursor: Any, work: Work[Any], request_error: Callable[[Exception], Exception | None]
) -> WorkResult:
    """Runs one request within a transaction, and rolls back only this request if it fails.

    `request_error` returns the error to report for the request, or None if the whole store failed; then the original
    error is raised.
    """
    cursor.execute("SAVEPOINT request")
    try:
        result = WorkResult(work(cursor))
    except Exception as exc:
        error = request_error(exc)
        if error is None:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT request")
        result = WorkResult(None, error)
    cursor.execute("RELEASE SAVEPOINT request")
    return result
