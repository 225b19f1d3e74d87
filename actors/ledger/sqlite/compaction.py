"""Compaction of an SQLite ledger."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from actors.ledger.compaction import CompactPart
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.errors import to_domain_error
from actors.ledger.sqlite.schema import check_readable
from domain.errors import StoreUnavailable

#: Seconds to wait for the writer's transaction in progress, and for readers that keep the write-ahead log in use.
LOCK_TIMEOUT_S: Final = 30.0
#: Seconds between two attempts to empty the write-ahead log.
_PAUSE_S: Final = 0.2
#: Where SQLite makes its temporary copy. It holds everything, so it belongs in the data directory.
_TEMPORARY: Final = "SQLITE_TMPDIR"


class SQLiteCompaction:
    """`Compaction` of one file by VACUUM, which copies it to a temporary file and back through the write-ahead log."""

    locks = "nothing is recorded or delivered; hits are answered, and wait in the journal"

    def __init__(self, path: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._sleep = sleep

    def parts(self) -> Sequence[CompactPart]:
        if not self._path.exists():
            raise StoreUnavailable(f"{self._path} does not exist")
        return [CompactPart(self._path.name, self._size())]

    def missing_bytes(self) -> int:
        # The temporary copy, and the write-ahead log with all pages.
        return max(0, 2 * self._size() - shutil.disk_usage(self._path.parent).free)

    def rewrite(self, part: CompactPart) -> int:  # noqa: ARG002  there is only one
        with self._connection() as connection:
            connection.execute("PRAGMA temp_store = FILE")  # it may be larger than the memory
            connection.execute("VACUUM")
            self._empty_log(connection)
        return self._size()

    def finish(self) -> str | None:
        with self._connection() as connection:
            if self._empty_log(connection):
                return None
        return (
            "A reader keeps the write-ahead log, which still has former bytes, in use. Run the command again, or "
            "restart the service."
        )

    def _empty_log(self, connection: sqlite3.Connection) -> bool:
        """Whether the write-ahead log is empty now. Readers that are busy for long keep it in use."""
        ends_s = time.monotonic() + LOCK_TIMEOUT_S
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > ends_s:
                return False
            self._sleep(_PAUSE_S)
        return True

    def _size(self) -> int:
        return sum(file.stat().st_size for file in self._path.parent.glob(f"{self._path.name}*"))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        os.environ[_TEMPORARY] = str(self._path.parent.absolute())
        try:
            with closing(open_writer(self._path, LOCK_TIMEOUT_S)) as connection:
                check_readable(connection)
                yield connection
        except sqlite3.Error as exc:
            raise to_domain_error(exc) from exc
