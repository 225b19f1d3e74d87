"""Storage of aggregate events together with their read models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger.postgres.binary_arrays import Blobs, Numbers, Texts, Uuids
from actors.ledger.projector import Projector

_INSERT: Final = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state) SELECT * FROM unnest($1, $2, $3, $4)"
)
_projector: Final = Projector()


def append(cursor: Any, events: Sequence[StoredEvent]) -> None:
    """Inserts events, and the read model rows that follow from them, in the cursor's transaction.

    Raises:
        psycopg.errors.UniqueViolation: the version of an event, or another unique value, is taken.
    """
    columns = (
        Uuids([UUID(str(e.originator_id)).bytes for e in events]),
        Numbers([e.originator_version for e in events]),
        Texts([e.topic for e in events]),
        Blobs([e.state for e in events]),
    )
    cursor.execute(_INSERT, columns)
    _projector.project(cursor, events)
