"""Encoding of tracking events for the event store, without building domain events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from domain.tracking import EventToRecord


class TrackingEventState(msgspec.Struct):
    """The stored state of a `domain.tracking_event.TrackingEventRecorded`, in the format of the event mapper."""

    account_no: int
    type: str
    message_key: int
    time_ms: int
    fields: str


class DeliveredState(msgspec.Struct):
    """The part of a `TrackingEventState` that handlers and API clients see."""

    time_ms: int
    #: The fields of the POST: one JSON object as text.
    fields: str


_encode: Final = msgspec.json.Encoder().encode
decode_state: Final = msgspec.json.Decoder(TrackingEventState).decode
decode_delivered: Final = msgspec.json.Decoder(DeliveredState).decode


def encode_state(event: EventToRecord) -> bytes:
    """The state to store for an event."""
    return _encode(
        TrackingEventState(event.account_no, event.type, event.message_key, event.time_ms, event.fields.decode())
    )


def duplicate_positions(event_ids: Sequence[bytes], stored: Collection[bytes]) -> list[int]:
    """Positions of the ids that are in `stored` already, or occur earlier in `event_ids`."""
    if not stored and len(set(event_ids)) == len(event_ids):
        return []
    seen = set(stored)
    found = []
    for position, event_id in enumerate(event_ids):
        if event_id in seen:
            found.append(position)
        seen.add(event_id)
    return found
