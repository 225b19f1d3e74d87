"""Stores events of aggregates, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger.postgres.binary_arrays import Blobs, Numbers, Texts, Uuids
from actors.ledger.projector import Projector

INSERT: Final = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    " SELECT * FROM unnest($1, $2, $3, $4) RETURNING notification_id"
)
_projector: Final = Projector()


def append(cursor: Any, events: Sequence[StoredEvent]) -> list[int]:
    """Inserts events in the transaction that the cursor is in, with all that follows from them; gives their places.

    Raises:
        psycopg.errors.UniqueViolation: an event's version, or something that must be unique, is taken.
    """
    columns = (
        Uuids([UUID(str(e.originator_id)).bytes for e in events]),
        Numbers([e.originator_version for e in events]),
        Texts([e.topic for e in events]),
        Blobs([e.state for e in events]),
    )
    places = [place for (place,) in cursor.execute(INSERT, columns).fetchall()]
    _projector.project(cursor, events)
    return places
