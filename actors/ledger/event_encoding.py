"""How a tracking event is stored: what a writer of many encodes, and never builds the event for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from domain.tracking import EventToRecord


class TrackingEventState(msgspec.Struct):
    """The stored state of a `domain.tracking_event.TrackingEventRecorded`, as its mapper reads it."""

    account_no: int
    type: str
    message_key: int
    time_ms: int
    fields: str


_encode: Final = msgspec.json.Encoder().encode


def stored_state(event: EventToRecord) -> bytes:
    """The state that is stored of an event."""
    return _encode(
        TrackingEventState(event.account_no, event.type, event.message_key, event.time_ms, event.fields.decode())
    )


def duplicates(event_ids: Sequence[bytes], known: Collection[bytes]) -> list[int]:
    """Positions of the events that are known already, or came earlier in the batch."""
    if not known and len(set(event_ids)) == len(event_ids):
        return []
    seen = set(known)
    found = []
    for position, event_id in enumerate(event_ids):
        if event_id in seen:
            found.append(position)
        seen.add(event_id)
    return found
