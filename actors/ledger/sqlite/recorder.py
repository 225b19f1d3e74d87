"""Storage of aggregate events together with their read models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger.projector import Projector
from actors.ledger.sqlite.dialect import LedgerCursor

_INSERT: Final = "INSERT INTO stored_events VALUES (?, ?, ?, ?)"
_projector: Final = Projector()


def append(cursor: LedgerCursor, events: Sequence[StoredEvent]) -> None:
    """Inserts events, and the read model rows that follow from them, in the cursor's transaction.

    Raises:
        sqlite3.IntegrityError: the version of an event, or another unique value, is taken.
    """
    cursor.executemany(
        _INSERT, [(UUID(str(e.originator_id)).hex, e.originator_version, e.topic, e.state) for e in events]
    )
    _projector.project(cursor, events)
