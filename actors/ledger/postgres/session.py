"""The writer's session with PostgreSQL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from actors.ledger.postgres.connection import SILENCE_S, WRITER_STATEMENT_S
from actors.ledger.postgres.errors import ends_session, is_store_failure, request_error, to_domain_error
from actors.ledger.postgres.fence import Fence, StoreCounters
from actors.ledger.postgres.outbox import RecordEvents, record_events
from actors.ledger.postgres.outcomes import RecordOutcomes, record_outcomes
from actors.ledger.postgres.watchdog import WATCHDOG
from actors.ledger.session import Work, WorkResult, run_in_savepoint
from domain.errors import SessionLost

_DEADLINE_S: Final = WRITER_STATEMENT_S + SILENCE_S


class WorkByKind(NamedTuple):
    """The requests of one transaction by kind, each with its position in the order in which they were made."""

    events: list[tuple[int, RecordEvents]]
    outcomes: list[tuple[int, RecordOutcomes]]
    others: list[tuple[int, Work[Any]]]


class PostgresSession:
    """`StoreSession` on a connection that has no transaction open.

    The requests of one commit were made at the same time, so this session may choose their order: it writes all events
    with one statement and all outcomes with another, without savepoints. If a request fails, it rolls everything back
    and runs the requests again one by one.
    """

    def __init__(self, connection: Connection[tuple[Any, ...]], fence: Fence) -> None:
        self._connection = connection
        self._fence = fence
        #: After that, it is unknown whether a transaction that failed was committed.
        self._is_commit_sent = False

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        self._is_commit_sent = False
        ends_s = time.monotonic() + _DEADLINE_S
        try:
            return self._commit(works)
        except psycopg.Error as exc:
            # A server that does not answer at all would not answer a new connection either.
            if ends_session(exc) and not self._is_commit_sent and time.monotonic() < ends_s:
                raise SessionLost(str(to_domain_error(exc))) from exc
            raise

    def _commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        with WATCHDOG.within(self._connection, _DEADLINE_S), contextlib.closing(self._connection.cursor()) as cursor:
            try:
                return self._commit_together(cursor, works)
            except Exception as exc:
                if is_store_failure(exc):
                    raise
            cursor.execute("ROLLBACK")
            return self._commit_one_by_one(cursor, works)

    def _commit_together(self, cursor: Any, works: Sequence[Work[Any]]) -> list[WorkResult]:
        kinds = _by_kind(works)
        results: dict[int, WorkResult] = {}
        counters = self._begin(cursor)
        for position, work in kinds.others:
            results[position] = WorkResult(work(cursor))
        if kinds.others and kinds.events:
            counters = self._fence.check(cursor)  # the other requests may have changed the counters
        recorded = record_events(cursor, [work for _, work in kinds.events], counters)
        results.update(zip((position for position, _ in kinds.events), recorded, strict=True))
        record_outcomes(cursor, [work for _, work in kinds.outcomes])
        results.update((position, WorkResult(None)) for position, _ in kinds.outcomes)
        self._end(cursor)
        return [results[position] for position in range(len(works))]

    def _commit_one_by_one(self, cursor: Any, works: Sequence[Work[Any]]) -> list[WorkResult]:
        self._begin(cursor)
        results = [run_in_savepoint(cursor, work, request_error) for work in works]
        self._end(cursor)
        return results

    def _end(self, cursor: Any) -> None:
        self._is_commit_sent = True
        cursor.execute("COMMIT")

    def _begin(self, cursor: Any) -> StoreCounters:
        cursor.execute("BEGIN")
        return self._fence.check(cursor)

    def finish(self) -> None:
        """See `StoreSession.finish`. PostgreSQL needs no preparation."""

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self._connection.close()


def _by_kind(works: Sequence[Work[Any]]) -> WorkByKind:
    kinds = WorkByKind([], [], [])
    for position, work in enumerate(works):
        if isinstance(work, RecordEvents):
            kinds.events.append((position, work))
        elif isinstance(work, RecordOutcomes):
            kinds.outcomes.append((position, work))
        else:
            kinds.others.append((position, work))
    return kinds
