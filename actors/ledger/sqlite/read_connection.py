"""Read connection to an SQLite ledger, shared by the threads of a process."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final

from actors.ledger.dialect import Dialect
from actors.ledger.sqlite.connection import Check, no_check, open_reader
from actors.ledger.sqlite.dialect import SQLITE, LedgerCursor
from actors.ledger.sqlite.errors import to_domain_error
from actors.ledger.sqlite.schema import check_readable
from actors.ledger.store_connection import Row, StoreConnection, closed_on_error
from domain.errors import StoreUnavailable

#: Parameters per statement. Every SQLite build allows this many.
_CHUNK: Final = 500


class SQLiteReadConnection(StoreConnection):
    """`StoreConnection` that opens the file on first use and after errors, so the file may be created later."""

    dialect: Dialect = SQLITE

    def __init__(self, path: Path, check: Check = no_check) -> None:
        self._path = path
        self._check = check
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def rows_of_events(self, sql: str, event_ids: Collection[bytes]) -> list[Row]:
        """See `StoreConnection.rows_of_events`. JSON lists cannot hold blobs, so each id is a parameter."""
        found: list[Row] = []
        left = iter(event_ids)
        while chunk := list(islice(left, _CHUNK)):
            found += self.rows(of_events(sql, len(chunk)), chunk)
        return found

    @contextmanager
    def snapshot(self) -> Iterator[LedgerCursor]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            finally:
                cursor.execute("ROLLBACK")

    @contextmanager
    def _cursor(self) -> Iterator[LedgerCursor]:
        with self._lock:
            try:
                yield self._connected().cursor(LedgerCursor)
            except sqlite3.Error as exc:
                self._disconnect()
                raise to_domain_error(exc) from exc

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the ledger's reader is closed")
        if self._connection is None:
            self._check()
            connection = open_reader(self._path)
            with closed_on_error(connection):
                check_readable(connection)
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def of_events(sql: str, number: int) -> str:
    """The statement with this number of parameters in place of its list."""
    return sql.replace("{in $1}", f"IN ({','.join('?' * number)})")
