"""Clearing of an SQLite ledger's file and of its write-ahead log while its service runs.

With `secure_delete`, the file has deleted rows only as copies that SQLite left in pages when it moved rows. The log has
them until it is empty.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from actors.ledger.sqlite.connection import Check, no_check, open_writer
from actors.ledger.sqlite.errors import to_domain_error
from actors.ledger.sqlite.leftovers import Leftovers
from actors.ledger.sqlite.schema import check_readable
from domain.errors import StoreUnavailable

#: Milliseconds for which the writer may have to wait: emptying the log takes its lock, and then waits for readers.
WRITER_WAITS_MS: Final = 25
#: Seconds for which one call tries.
TRIES_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0
#: Pages that are cleared while others cannot write, in about 5 ms; and seconds before the next ones.
PAGES_AT_ONCE: Final = 500
_REST_S: Final = 0.01
_READERS: Final = "readers of the ledger's file keep its write-ahead log in use"
_WRITERS: Final = "writers keep the ledger's file in use"
OUTSIDE: Final = (
    "The SQLite file was not searched for copies of moved rows, because it is too large or has auto-vacuum; `compact`"
    " removes them."
)


class SQLiteByteClearing:
    """`ByteClearing` of one file, on a connection of its own."""

    def __init__(
        self,
        path: Path,
        check: Check = no_check,
        sleep: Callable[[float], None] = time.sleep,
        search: Callable[[Path], Leftovers] = Leftovers,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        """`rest` is called after each part of the search, which it may end with an exception."""
        self.outside: Sequence[str] = ()
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._check = check
        self._sleep = sleep
        self._leftovers = search(path)
        self._rest = rest

    def clear(self) -> str | None:
        """See `ByteClearing.clear`.

        Copying the log takes no lock. Once all of it is copied, new readers use the file, so the log soon has none.
        Then the file has all pages as they were, and is searched without a lock.
        """
        self._check()
        try:
            with closing(open_writer(self._path)) as connection:
                check_readable(connection)
                connection.execute(f"PRAGMA busy_timeout = {WRITER_WAITS_MS}")
                if not self._soon(lambda: _empty(connection)):
                    return _READERS
                is_searchable = self._leftovers.open()
                self.outside = () if is_searchable else (OUTSIDE,)
                return self._clear_leftovers(connection) if is_searchable else None
        except sqlite3.Error as exc:
            raise to_domain_error(exc) from exc
        except OSError as exc:
            raise StoreUnavailable(f"the ledger's file cannot be searched now ({exc})") from exc

    def _clear_leftovers(self, connection: sqlite3.Connection) -> str | None:
        """Clears copies in the file, a few pages at a time; the log is empty before each of these times."""
        pages = self._leftovers.pages(self._rest)
        if not pages:
            return None
        for start in range(0, len(pages), PAGES_AT_ONCE):
            some = pages[start : start + PAGES_AT_ONCE]
            # Between the two, a writer that is busy often commits; so it needs many attempts.
            if not self._soon(lambda some=some: _empty(connection) and self._cleared(connection, some), _REST_S):  # type: ignore[misc]
                return _WRITERS
            self._sleep(_REST_S)
        self._leftovers.sync()
        return None if self._soon(lambda: _empty(connection)) else _READERS

    def _soon(self, attempt: Callable[[], bool], longest_pause_s: float = _LAST_PAUSE_S) -> bool:
        """Tries until it succeeds, or for too long; returns whether it succeeded."""
        ends_s = time.monotonic() + TRIES_S
        pause_s = min(_FIRST_PAUSE_S, longest_pause_s)
        while not attempt():
            if time.monotonic() > ends_s:
                return False
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, longest_pause_s)
        return True

    def _cleared(self, connection: sqlite3.Connection, pages: Sequence[int]) -> bool:
        """Clears leftovers in these pages, unless others write now, or the log has newer versions of pages."""
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise
        try:
            if self._log.stat().st_size:
                return False
            self._leftovers.clear(pages)
            # Any commit makes other connections forget the pages that they keep in memory. This changes nothing else.
            [(version,)] = connection.execute("PRAGMA user_version").fetchall()
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return True


def _empty(connection: sqlite3.Connection) -> bool:
    """Whether the log is empty now."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
