"""Connections to the ledger's SQLite file: one for the writer, others for readers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

#: Pages (of 4 KiB) in the write-ahead log before a commit copies them into the file; SQLite's 1000 does so too often.
WAL_PAGES: Final = 4000
WRITER_CACHE_KIB: Final = 64 * 1024
#: Small, for each loop's process has a reader; what it misses is in the operating system's cache.
READER_CACHE_KIB: Final = 4 * 1024
#: A log that a long read let grow is cut back to this when it starts anew.
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024

_WRITER_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # every commit is fsynced: what was answered survives a power cut
    "secure_delete = OFF",
    "temp_store = MEMORY",
    f"cache_size = -{WRITER_CACHE_KIB}",
    f"wal_autocheckpoint = {WAL_PAGES}",
    f"journal_size_limit = {WAL_LIMIT_BYTES}",
)
_READER_PRAGMAS: Final = (
    "query_only = ON",
    "temp_store = MEMORY",
    f"cache_size = -{READER_CACHE_KIB}",
)


def open_writer(path: Path, lock_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection that writes durably; makes the file when there is none. The caller begins and ends transactions.

    Raises:
        sqlite3.Error: the file cannot be opened, or is locked for longer than `lock_timeout_s`.
    """
    return _open(path, "rwc", lock_timeout_s, _WRITER_PRAGMAS)


def open_reader(path: Path, lock_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection that cannot write, to a file that must be there; any thread may use it, one at a time.

    Raises:
        sqlite3.Error: there is no such file, or it cannot be opened.
    """
    # Not `mode=ro`: after a kill the first to open the file, a reader too, has to recover the write-ahead log.
    return _open(path, "rw", lock_timeout_s, _READER_PRAGMAS)


def _open(path: Path, mode: str, lock_timeout_s: float, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=lock_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
