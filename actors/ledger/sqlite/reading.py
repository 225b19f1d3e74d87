"""A connection to read the ledger by, shared by the threads of a process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from actors.ledger.sqlite.connection import open_reader, refusal
from actors.ledger.sqlite.schema import check_readable
from domain.errors import StoreUnavailable

Row = tuple[Any, ...]


class ReadConnection:
    """Opens on first use, and again after any error, so a reader may be made before the writer has made the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def close(self) -> None:
        """Closes for good; reads that come later raise `StoreUnavailable`."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def rows(self, sql: str, params: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """All rows of one query.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        with self._cursor() as cursor:
            return cursor.execute(sql, params).fetchall()

    def row(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        """The first row of one query, or None."""
        found = self.rows(sql, params)
        return found[0] if found else None

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Cursor]:
        """Within it, all queries of the cursor see the same commit. Others wait: keep it short."""
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            finally:
                cursor.execute("ROLLBACK")

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            try:
                yield self._connected().cursor()
            except sqlite3.Error as exc:
                self._disconnect()
                raise refusal(exc) from exc

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the ledger's reader is closed")
        if self._connection is None:
            connection = open_reader(self._path)
            try:
                check_readable(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
