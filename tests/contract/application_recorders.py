"""eventsourcing recorders on the ledger's schema, which write through the ledger's `append`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor
from psycopg.rows import tuple_row

from actors.ledger.postgres.binary_arrays import adapt
from actors.ledger.postgres.dialect import LedgerCursor as PostgresLedgerCursor
from actors.ledger.postgres.outbox import append as append_to_postgres
from actors.ledger.postgres.schema import migrate as migrate_postgres
from actors.ledger.sqlite.dialect import LedgerCursor as SQLiteLedgerCursor
from actors.ledger.sqlite.outbox import append as append_to_sqlite
from actors.ledger.sqlite.schema import migrate as migrate_sqlite


class SQLiteLedgerRecorder(SQLiteApplicationRecorder):
    """An application recorder on the ledger's SQLite schema."""

    def create_table(self) -> None:
        with self.datastore.get_connection(commit=True) as connection:
            migrate_sqlite(connection.cursor().sqlite_cursor.connection)

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        append_to_sqlite(c.sqlite_cursor.connection.cursor(SQLiteLedgerCursor), stored_events)
        c.execute("SELECT coalesce(max(rowid), 0) FROM stored_events")
        return _last(len(stored_events), c.fetchone()[0])


class PostgresLedgerRecorder(PostgresApplicationRecorder):
    """An application recorder on the ledger's PostgreSQL schema. It locks the log while it writes."""

    def create_table(self) -> None:
        with self.datastore.get_connection() as connection:
            migrate_postgres(connection)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        with self.datastore.transaction(commit=True) as locking:
            self._lock_table(locking)
            self._notify_channel(locking)
            adapt(locking.connection)
            cursor = PostgresLedgerCursor(locking.connection, row_factory=tuple_row)
            append_to_postgres(cursor, stored_events)
            found = cursor.execute("SELECT coalesce(max(notification_id), 0) FROM stored_events").fetchone()
            assert found is not None
            return _last(len(stored_events), found[0])


def _last(count: int, highest: int) -> Sequence[int]:
    """The notification ids of the events that were just inserted; the lock keeps other writers out."""
    return list(range(highest - count + 1, highest + 1))
