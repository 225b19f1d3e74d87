"""eventsourcing's PostgreSQL recorder, with this ledger's schema and read models. The ledger's writer needs none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg.rows import tuple_row

from actors.ledger.postgres.binary_arrays import adapt
from actors.ledger.postgres.dialect import LedgerCursor
from actors.ledger.postgres.recorder import append
from actors.ledger.postgres.schema import migrate


class LedgerRecorder(PostgresApplicationRecorder):
    """Inserts events, and in the same transaction the rows that follow from them.

    An eventsourcing Application may use it by `APPLICATION_RECORDER_TOPIC`, beside the ledger's writer too: it locks
    the log against others for as long as it writes.
    """

    def create_table(self) -> None:
        """Brings the whole schema to its last version.

        Raises:
            StoreError: the database was written by a newer program, or holds something else.
        """
        with self.datastore.get_connection() as connection:
            migrate(connection)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Inserts events with their read models, and gives their notification ids.

        Raises:
            eventsourcing.persistence.IntegrityError: a version, or something that must be unique, is taken.
        """
        with self.datastore.transaction(commit=True) as locking:
            self._lock_table(locking)
            self._notify_channel(locking)
            adapt(locking.connection)
            return append(LedgerCursor(locking.connection, row_factory=tuple_row), stored_events)
