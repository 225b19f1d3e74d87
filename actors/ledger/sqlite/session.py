"""A writer's session with the SQLite file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from actors.ledger.group_commit import Work, WorkResult, attempt
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.errors import request_error

log = logging.getLogger(__name__)

#: Milliseconds that the last checkpoint waits for those who read.
LAST_CHECKPOINT_MS: Final = 1_000


class SQLiteSession:
    """`StoreSession` on a connection without a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def commit(self, works: Sequence[Work[Any]]) -> list[WorkResult]:
        """See `StoreSession.commit`. In the order in which they were asked for."""
        cursor = self._connection.cursor(LedgerCursor)
        cursor.execute("BEGIN IMMEDIATE")
        done = [attempt(cursor, work, request_error) for work in works]
        cursor.execute("COMMIT")
        return done

    def finish(self) -> None:
        """Moves the write-ahead log into the file, which is then the whole store, though others still read it."""
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {LAST_CHECKPOINT_MS}")
            is_busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                log.info("the ledger's log stays beside it: somebody reads", extra={"action": "checkpoint_skipped"})
        except sqlite3.Error:
            log.warning("the ledger's log stays beside it", exc_info=True, extra={"action": "checkpoint_failed"})

    def close(self) -> None:
        """See `StoreSession.close`."""
        try:
            self._connection.close()
        except sqlite3.Error:
            log.exception("the ledger's connection did not close", extra={"action": "close_failed"})
