"""Encoding of tracking events for the event store, without building domain events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from domain.erasure import ERASED, redacted_fields
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


class KeptMailState(msgspec.Struct):
    """The stored state of a `domain.tracking_event.ReturnedMailKept`, in the format of the event mapper."""

    mime: str


_encode: Final = msgspec.json.Encoder().encode
decode_state: Final = msgspec.json.Decoder(TrackingEventState).decode
decode_kept_mail: Final = msgspec.json.Decoder(KeptMailState).decode
decode_delivered: Final = msgspec.json.Decoder(DeliveredState).decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, object]).decode
_ERASED: Final = ERASED.encode()


def is_erased(state: bytes) -> bool:
    """Whether the event with this stored state is redacted."""
    # Nearly every event lacks the word.
    return _ERASED in state and is_erased_text(decode_delivered(state).fields)


def is_erased_text(fields: str) -> bool:
    """Whether these fields of an event are redacted."""
    return ERASED in fields and bool(_decode_fields(fields).get(ERASED))


def redacted_state(state: bytes) -> bytes:
    """The stored state of an event without what may reveal a person. Redacting twice changes nothing."""
    event = decode_state(state)
    return _encode(msgspec.structs.replace(event, fields=redacted_fields(event.fields)))


def encode_state(event: EventToRecord) -> bytes:
    """The state to store for an event."""
    return _encode(
        TrackingEventState(event.account_no, event.type, event.message_key, event.time_ms, event.fields.decode())
    )


def encode_mails(events: Sequence[EventToRecord]) -> list[tuple[bytes, bytes]]:
    """The id of each event that has a returned mail, and the state to store for the mail."""
    return [(event.event_id, _encode(KeptMailState(event.mime))) for event in events if event.mime is not None]


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
