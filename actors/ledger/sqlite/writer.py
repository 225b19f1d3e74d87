"""Ledger writer on SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from actors.adapters.clock import SystemClock
from actors.ledger.group_commit import GroupCommit
from actors.ledger.sqlite.connection import Check, no_check, open_writer
from actors.ledger.sqlite.outbox import SQLiteWrites
from actors.ledger.sqlite.read_connection import SQLiteReadConnection
from actors.ledger.sqlite.schema import migrate
from actors.ledger.sqlite.session import SQLiteSession
from actors.ledger.store_connection import closed_on_error
from actors.ledger.writer import StoreWriter
from actors.ports import Clock
from domain.errors import FeedbackLoopsError

Connect = Callable[[Path], sqlite3.Connection]


class SQLiteLedgerWriter(StoreWriter):
    """`StoreWriter` on one SQLite file, which may have only one writer. Everything it answers is fsynced.

    It creates the file, or migrates it to this program's schema. If that fails, or a newer program wrote the file, each
    call tries again and raises a `StoreError` with the reason.
    """

    def __init__(
        self, path: Path, clock: Clock | None = None, connect: Connect = open_writer, check: Check = no_check
    ) -> None:
        session = partial(_open_session, path, connect, check)
        first: SQLiteSession | None = None
        with contextlib.suppress(sqlite3.Error, FeedbackLoopsError):  # calls report the error; a dead actor could not
            first = session()
        super().__init__(
            GroupCommit(session, first), SQLiteReadConnection(path, check), SQLiteWrites(), clock or SystemClock()
        )


def _open_session(path: Path, connect: Connect, check: Check) -> SQLiteSession:
    check()
    connection = connect(path)
    with closed_on_error(connection):
        migrate(connection)
    return SQLiteSession(connection)
