"""The writer's session with an SQLite file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from actors.ledger.session import Work, WorkResult, run_in_savepoint
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.errors import request_error

log = logging.getLogger(__name__)

#: Milliseconds that the last checkpoint waits for readers.
LAST_CHECKPOINT_MS: Final = 1_000


class SQLiteSession:
    """`StoreSession` on a connection that has no transaction open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """See `StoreSession.commit`. Requests run in the order in which they were made."""
        cursor = self._connection.cursor(LedgerCursor)
        cursor.execute("BEGIN IMMEDIATE")
        results = [run_in_savepoint(cursor, work, request_error) for work in works]
        cursor.execute("COMMIT")
        return results

    def finish(self) -> None:
        """Moves the write-ahead log into the file, so that the file alone is the whole store."""
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {LAST_CHECKPOINT_MS}")
            is_busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                log.info("kept the ledger's write-ahead log: it has readers", extra={"action": "checkpoint_skipped"})
        except sqlite3.Error:
            log.warning("kept the ledger's write-ahead log", exc_info=True, extra={"action": "checkpoint_failed"})

    def close(self) -> None:
        try:
            self._connection.close()
        except sqlite3.Error:
            log.exception("the ledger's connection did not close", extra={"action": "close_failed"})
