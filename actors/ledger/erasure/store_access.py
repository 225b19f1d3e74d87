"""Access to the store that the steps of erasures share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from actors.ledger.dialect import Cursor
from actors.ledger.group_commit import GroupCommit
from actors.ledger.store_connection import StoreConnection
from actors.ports import Clock

_STORED: Final = (
    "SELECT originator_id, {column} FROM stored_events WHERE originator_version = {version} AND originator_id IN"
)
_REPLACE: Final = "UPDATE stored_events SET state = $3 WHERE originator_id = $1 AND originator_version = $2"
#: Parameters of one statement. Every build of SQLite allows this many.
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class ErasureStore:
    """The writer and a read connection."""

    commits: GroupCommit
    #: Blocks: call it in a thread.
    connection: StoreConnection
    clock: Clock


def mail_sizes(connection: StoreConnection, ids: Collection[UUID]) -> dict[UUID, int]:
    """Bytes of the returned mail of each of these events that has one."""
    return {id_: int(size) for id_, size in _stored(connection, "length(state)", ids, 2)}


def stored_states(connection: StoreConnection, ids: Collection[UUID], version: int = 1) -> dict[UUID, bytes]:
    """The states of the stored events with these originator ids and this version, as far as they exist."""
    return {id_: bytes(state) for id_, state in _stored(connection, "state", ids, version)}


def _stored(connection: StoreConnection, column: str, ids: Collection[UUID], version: int) -> list[tuple[UUID, Any]]:
    """Originator id and a column of the stored events with these originator ids and this version."""
    found: list[tuple[UUID, Any]] = []
    left = [id_.hex for id_ in ids]
    for first in range(0, len(left), _CHUNK):
        chunk = left[first : first + _CHUNK]
        marks = ", ".join(f"${number}" for number in range(1, len(chunk) + 1))
        rows = connection.rows(f"{_STORED.format(column=column, version=version)} ({marks})", chunk)
        found += [(UUID(bytes=connection.dialect.event_id_bytes(id_)), value) for id_, value in rows]
    return found


def replace_states(cursor: Cursor, states: Sequence[tuple[UUID, int, bytes]]) -> None:
    """Replaces the states of stored events, given by originator id and version; none that is gone comes back."""
    cursor.executemany(_REPLACE, [(id_.hex, version, state) for id_, version, state in states])
