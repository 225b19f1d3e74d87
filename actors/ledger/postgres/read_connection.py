"""Read connection to a PostgreSQL ledger, shared by the threads of a process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection

from actors.ledger.dialect import Dialect
from actors.ledger.postgres.binary_arrays import Uuids
from actors.ledger.postgres.connection import READER_STATEMENT_S, SILENCE_S, open_reader
from actors.ledger.postgres.dialect import POSTGRES, LedgerCursor
from actors.ledger.postgres.errors import domain_errors, ends_session, to_domain_error
from actors.ledger.postgres.schema import check_readable
from actors.ledger.postgres.watchdog import WATCHDOG
from actors.ledger.store_connection import Row, StoreConnection, closed_on_error
from domain.errors import SessionLost, StoreUnavailable

log = logging.getLogger(__name__)

#: Seconds without a read after which the connection is closed.
IDLE_S: Final = 5.0
#: Seconds after a failed connection attempt before the next: many processes would reconnect at once.
PAUSE_S: Final = 0.5
#: Seconds before the same failure is logged again.
SAME_FAILURE_S: Final = 30.0
_DEADLINE_S: Final = READER_STATEMENT_S + SILENCE_S


class PostgresReadConnection(StoreConnection):
    """`StoreConnection` that connects on first use and after errors, and disconnects after `idle_s` without use."""

    dialect: Dialect = POSTGRES

    def __init__(self, url: str, idle_s: float = IDLE_S) -> None:
        self._url = url
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._connection: Connection[Row] | None = None
        self._closed = False
        self._used_at_s = 0.0
        self._idle: threading.Timer | None = None
        self._failure: tuple[float, StoreUnavailable] | None = None
        self._logged_at_s = float("-inf")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._idle is not None:
                self._idle.cancel()
            self._disconnect()

    def rows_of_events(self, sql: str, event_ids: Collection[bytes]) -> list[Row]:
        """See `StoreConnection.rows_of_events`. Reads in one snapshot."""
        return self.rows(sql, (Uuids(event_ids),)) if event_ids else []

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """See `StoreConnection.rows`. Reads again on a new connection if the kept one has ended."""
        try:
            return super().rows(sql, params)
        except SessionLost:
            return super().rows(sql, params)

    @contextmanager
    def snapshot(self) -> Iterator[LedgerCursor]:
        with ExitStack() as stack:
            try:
                cursor = stack.enter_context(self._snapshot())
            except SessionLost:
                cursor = stack.enter_context(self._snapshot())
            yield cursor

    @contextmanager
    def _snapshot(self) -> Iterator[LedgerCursor]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield cursor
            finally:
                if not cursor.connection.closed:
                    cursor.execute("ROLLBACK")

    @contextmanager
    def _cursor(self) -> Iterator[LedgerCursor]:
        with self._lock:
            is_kept = self._connection is not None
            connection = self._connected()
            began_s = time.monotonic()
            try:
                with WATCHDOG.within(connection, _DEADLINE_S), LedgerCursor(connection) as cursor:
                    yield cursor
            except psycopg.Error as exc:
                self._disconnect()
                error = to_domain_error(exc)
                if is_kept and ends_session(exc) and time.monotonic() - began_s < _DEADLINE_S:
                    error = SessionLost(str(error))
                raise error from exc
            self._used_at_s = time.monotonic()
            if self._idle is None:
                self._start_idle_timer(self._idle_s)

    def _connected(self) -> Connection[Row]:
        if self._closed:
            raise StoreUnavailable("the ledger's reader is closed")
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection[Row]:
        if self._failure is not None and time.monotonic() - self._failure[0] < PAUSE_S:
            known = self._failure[1]
            raise type(known)(str(known))
        try:
            connection = _open(self._url)
        except StoreUnavailable as exc:
            self._note(exc)
            raise
        self._failure = None
        return connection

    def _note(self, failure: StoreUnavailable) -> None:
        now_s = time.monotonic()
        is_new = self._failure is None or str(self._failure[1]) != str(failure)
        self._failure = (now_s, failure)
        if is_new or now_s - self._logged_at_s > SAME_FAILURE_S:
            self._logged_at_s = now_s
            log.warning("the ledger cannot be read", extra={"action": "ledger_unreadable", "error": str(failure)})

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- closing an idle connection

    def _start_idle_timer(self, seconds: float) -> None:
        self._idle = threading.Timer(seconds, self._close_when_idle)
        self._idle.daemon = True
        self._idle.start()

    def _close_when_idle(self) -> None:
        with self._lock:
            self._idle = None
            left_s = self._used_at_s + self._idle_s - time.monotonic()
            if self._connection is None:
                return
            if left_s > 0:
                self._start_idle_timer(left_s)
            else:
                self._disconnect()


def _open(url: str) -> Connection[Any]:
    """A connection to a ledger that this program can read."""
    connection = open_reader(url)
    with domain_errors(), closed_on_error(connection):
        check_readable(connection)
    return connection
