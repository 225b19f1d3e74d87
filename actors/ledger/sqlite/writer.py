"""The ledger's writer on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from eventsourcing.sqlite import SQLiteDatastore

from actors.adapters.clock import SystemClock
from actors.ledger.group_commit import GroupCommit
from actors.ledger.sqlite.connection import open_writer, refusal
from actors.ledger.sqlite.outbox import SQLiteRecording
from actors.ledger.sqlite.reading import ReadConnection
from actors.ledger.sqlite.recorder import LedgerRecorder
from actors.ledger.sqlite.schema import migrate
from actors.ledger.sqlite.session import SQLiteSession
from actors.ledger.writer import Ledger
from actors.ports import Clock

Connect = Callable[[Path], sqlite3.Connection]


class SQLiteLedger(Ledger):
    """`Ledger` on one SQLite file. One at a time for a file. Everything it answers is fsynced."""

    def __init__(self, path: Path, clock: Clock | None = None, connect: Connect = open_writer) -> None:
        """Makes the file, or brings it to this program's schema.

        Raises:
            StoreError: it was written by a newer program.
            StoreUnavailable: it cannot be opened.
        """
        # The recorder lends its way of inserting; its own connections are never opened.
        recorder = LedgerRecorder(SQLiteDatastore(str(path)))
        session = partial(_open_session, path, connect)
        try:
            commits = GroupCommit(session, session())
        except sqlite3.Error as exc:
            raise refusal(exc) from exc
        super().__init__(commits, ReadConnection(path), SQLiteRecording(recorder), clock or SystemClock())


def _open_session(path: Path, connect: Connect) -> SQLiteSession:
    connection = connect(path)
    try:
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return SQLiteSession(connection)
