"""eventsourcing's SQLite recorder, with this ledger's schema and read models."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore

from actors.ledger.projector import Projector
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.schema import migrate


class LedgerRecorder(SQLiteApplicationRecorder):
    """Inserts events, and in the same transaction the rows that follow from them.

    An eventsourcing Application may use it by `APPLICATION_RECORDER_TOPIC`; the ledger's writer has it write within a
    transaction of its own.
    """

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self._projector = Projector()

    def create_table(self) -> None:
        """Brings the whole schema to its last version.

        Raises:
            StoreError: the database was written by a newer program.
        """
        with self.datastore.get_connection(commit=True) as connection:
            migrate(connection.cursor().sqlite_cursor.connection)

    def insert_within(self, cursor: sqlite3.Cursor, stored_events: Sequence[StoredEvent]) -> None:
        """Inserts in the transaction that the cursor is in.

        Raises:
            sqlite3.IntegrityError: an event's version, or something that must be unique, is taken.
        """
        self._insert_events(SQLiteCursor(cursor), stored_events)

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        notification_ids = super()._insert_events(c, stored_events, **kwargs)
        self._projector.project(c.sqlite_cursor.connection.cursor(LedgerCursor), stored_events)
        return notification_ids
