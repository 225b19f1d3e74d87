"""Redaction of tracking events in a transaction, with their deliveries, attempts and returned mails."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.store_access import stored_states
from actors.ledger.event_encoding import TrackingEventState, decode_state
from actors.ledger.store_connection import StoreConnection
from domain.erasure import redacted_fields

_REPLACE: Final = "UPDATE stored_events SET state = $2 WHERE originator_id = $1 AND originator_version = 1"
_DROP_MAIL: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version = 2"
#: Delivered and dead ones stay as they are: their event shows that they must not be sent again.
END_DELIVERIES: Final = "UPDATE deliveries SET state = 3, due_at_ms = 0 WHERE event_id = $1 AND state = 0"
#: Handlers may have repeated what they received.
REDACT_ATTEMPTS: Final = (
    "UPDATE attempts SET excerpt = '', response_headers = '' WHERE (excerpt <> '' OR response_headers <> '')"
    " AND delivery_id IN (SELECT id FROM deliveries WHERE event_id = $1)"
)
#: An attempt of these may be under way, with the older text.
_AWAIT_ATTEMPTS: Final = (
    "INSERT INTO erasure_deliveries (erasure_no, delivery_id)"
    " SELECT $1, id FROM deliveries WHERE event_id = $2 AND state = 0 ON CONFLICT DO NOTHING"
)
_encode: Final = msgspec.json.Encoder().encode


class RedactedEvent(NamedTuple):
    """An event as it stays."""

    event_id: bytes
    #: The stored state (`TrackingEventState`).
    state: bytes
    #: Whether nothing of it is delivered any more; otherwise it goes out as it stays.
    is_erased: bool


def state_with(state: TrackingEventState, fields_json: str) -> bytes:
    """The stored state with other fields."""
    return _encode(msgspec.structs.replace(state, fields=fields_json))


def erased_event(event_id: bytes, state: TrackingEventState) -> RedactedEvent:
    """An event of which only the facts stay."""
    return RedactedEvent(event_id, state_with(state, redacted_fields(state.fields)), is_erased=True)


def erased_events(connection: StoreConnection, ids: Collection[bytes]) -> list[RedactedEvent]:
    """The events with these ids, as far as they exist, as they stay when nothing but the facts does."""
    states = stored_states(connection, [UUID(bytes=id_) for id_ in ids]) if ids else {}
    return [erased_event(uuid.bytes, decode_state(state)) for uuid, state in states.items()]


def redact_events(cursor: Cursor, erasure_no: int, events: Sequence[RedactedEvent]) -> int:
    """Redacts events and the attempts of their deliveries, and drops their mails. Returns how many deliveries end."""
    if not events:
        return 0
    cursor.executemany(_REPLACE, [(event.event_id.hex(), event.state) for event in events])
    cursor.executemany(_DROP_MAIL, [(event.event_id.hex(),) for event in events])
    ids = [(cursor.dialect.event_id(event.event_id),) for event in events]
    cursor.executemany(REDACT_ATTEMPTS, ids)
    if delivered := [(erasure_no, *id_) for id_, event in zip(ids, events, strict=True) if not event.is_erased]:
        cursor.executemany(_AWAIT_ATTEMPTS, delivered)
    ended = [id_ for id_, event in zip(ids, events, strict=True) if event.is_erased]
    if not ended:
        return 0
    cursor.executemany(END_DELIVERIES, ended)
    return cursor.rowcount
