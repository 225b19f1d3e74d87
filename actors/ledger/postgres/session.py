"""A writer's session with PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from actors.ledger.group_commit import Work, WorkResult, attempt
from actors.ledger.postgres.connection import SILENCE_S, WRITER_STATEMENT_S
from actors.ledger.postgres.errors import is_store_failure, request_error
from actors.ledger.postgres.fence import Fence
from actors.ledger.postgres.outbox import RecordEvents, RecordOutcomes, TransactionStart, record_events, record_outcomes
from actors.ledger.postgres.watchdog import WATCHDOG

_PATIENCE_S: Final = WRITER_STATEMENT_S + SILENCE_S


class Sorted(NamedTuple):
    """What is to be done, by kind; each with its place in the order in which it was asked for."""

    events: list[tuple[int, RecordEvents]]
    outcomes: list[tuple[int, RecordOutcomes]]
    others: list[tuple[int, Work[Any]]]


class PostgresSession:
    """`StoreSession` on a connection without a transaction of its own.

    Those who wait for one commit asked at the same time, so their order is ours to choose: all events are written by
    one statement, and all outcomes by another. Nothing is guarded at first; when something fails of its own everything
    is undone, and done again piece by piece.
    """

    def __init__(self, connection: Connection[tuple[Any, ...]], fence: Fence) -> None:
        self._connection = connection
        self._fence = fence

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """See `StoreSession.commit`."""
        with WATCHDOG.within(self._connection, _PATIENCE_S), contextlib.closing(self._connection.cursor()) as cursor:
            try:
                return self._together(cursor, works)
            except Exception as exc:
                if is_store_failure(exc):
                    raise
            cursor.execute("ROLLBACK")
            return self._one_by_one(cursor, works)

    def _together(self, cursor: Any, works: Sequence[Work[Any]]) -> list[WorkResult]:
        kinds = _sorted(works)
        done: dict[int, WorkResult] = {}
        known = self._begin(cursor)
        for place, work in kinds.others:
            done[place] = WorkResult(work(cursor))
        if kinds.others and kinds.events:
            known = TransactionStart(*self._fence.check(cursor))  # which they may have changed
        answers = record_events(cursor, [work for _, work in kinds.events], known)
        done.update(zip((place for place, _ in kinds.events), answers, strict=True))
        record_outcomes(cursor, [work for _, work in kinds.outcomes])
        done.update((place, WorkResult(None)) for place, _ in kinds.outcomes)
        cursor.execute("COMMIT")
        return [done[place] for place in range(len(works))]

    def _one_by_one(self, cursor: Any, works: Sequence[Work[Any]]) -> list[WorkResult]:
        self._begin(cursor)
        done = [attempt(cursor, work, request_error) for work in works]
        cursor.execute("COMMIT")
        return done

    def _begin(self, cursor: Any) -> TransactionStart:
        cursor.execute("BEGIN")
        return TransactionStart(*self._fence.check(cursor))

    def finish(self) -> None:
        """See `StoreSession.finish`. There is nothing to do."""

    def close(self) -> None:
        """See `StoreSession.close`."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()


def _sorted(works: Sequence[Work[Any]]) -> Sorted:
    kinds = Sorted([], [], [])
    for place, work in enumerate(works):
        if isinstance(work, RecordEvents):
            kinds.events.append((place, work))
        elif isinstance(work, RecordOutcomes):
            kinds.outcomes.append((place, work))
        else:
            kinds.others.append((place, work))
    return kinds
