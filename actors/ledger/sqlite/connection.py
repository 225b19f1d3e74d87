"""Connections to the ledger's SQLite file: one for the writer, others for readers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from actors.ledger.store_connection import closed_on_error

#: Pages (of 4 KiB) in the write-ahead log that trigger a checkpoint. SQLite's default of 1000 checkpoints too often.
WAL_PAGES: Final = 4000
WRITER_CACHE_KIB: Final = 64 * 1024
#: Small, because each loop's process has a reader; the operating system caches the file anyway.
READER_CACHE_KIB: Final = 4 * 1024
#: A write-ahead log that grew during a long read is truncated to this size when it restarts.
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024

#: Called before the file is opened. Raises `StoreUnavailable` if it must not be, because it is not the right one.
Check = Callable[[], None]

_WRITER_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # every commit is fsynced, so answered requests survive a power cut
    "secure_delete = ON",  # what an erasure or retention deletes must not stay in free space of the file
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


def no_check() -> None:
    """The file at the path may always be opened."""


def open_writer(path: Path, lock_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection with durable commits. Creates a missing file, which only its owner can read.

    The caller begins and ends transactions.

    Raises:
        sqlite3.Error: the file cannot be opened, or is locked for longer than `lock_timeout_s`.
    """
    _create_private(path)
    return _open(path, "rw", lock_timeout_s, _WRITER_PRAGMAS)


def open_reader(path: Path, lock_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A read-only connection to an existing file. Any thread may use it, one at a time.

    Raises:
        sqlite3.Error: the file does not exist or cannot be opened.
    """
    # Not `mode=ro`: after a crash, the first process to open the file must recover the write-ahead log, even a reader.
    return _open(path, "rw", lock_timeout_s, _READER_PRAGMAS)


def _create_private(path: Path) -> None:
    """Creates a missing file with mode 0600: SQLite would go by the umask. Its write-ahead log gets the same mode."""
    with suppress(OSError):  # SQLite reports the problem when it opens the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _open(path: Path, mode: str, lock_timeout_s: float, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=lock_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    with closed_on_error(connection):
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    return connection
