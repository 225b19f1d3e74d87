"""Step of an erasure: the events of its messages and profiles, with their deliveries and attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.erasure import opt_outs
from actors.ledger.erasure.redaction import RedactedEvent, erased_event, redact_events, state_with
from actors.ledger.erasure.step import Found
from actors.ledger.erasure.store_access import mail_sizes, stored_states
from actors.ledger.event_encoding import TrackingEventState, decode_state, is_erased
from actors.ledger.people import person_of
from actors.ledger.projector import FORGET_FIRSTS
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import Counts, RunningErasure, StepName
from domain.event_catalogue.triggers import Trigger
from domain.report_erasure import event_of_other_recipient

#: The smallest key of a profile's events.
_FIRST_KEY: Final = -(2**63)
#: Bytes of returned mail that one transaction removes, unless it is a single one.
MAX_MAIL_BYTES: Final = 512 * 1024
#: A returned mail has one of these for each recipient that it is about.
_OF_RECIPIENTS: Final = frozenset({Trigger.FAILURE, Trigger.DELIVERY})
KEYS: Final = (
    "SELECT message_key FROM erasure_keys WHERE erasure_no = $1 AND message_key >= $2 AND is_partial = 0"
    " ORDER BY message_key LIMIT $3"
)
EVENTS: Final = (
    "SELECT account_no, event_id FROM events {by events_of_message}"
    " WHERE message_key = $1 AND event_id > $2 ORDER BY event_id LIMIT $3"
)


class FoundEvent(NamedTuple):
    """An event to redact."""

    redacted: RedactedEvent
    account_no: int
    message_key: int
    #: When it unsubscribed the person, Unix milliseconds; None if it did not.
    opted_out_at_ms: int | None


class EventsStep:
    """Redacts the events of the work list. Nothing of an event's text stays; that it happened does."""

    def __init__(self, name: StepName = StepName.EVENTS) -> None:
        self.name = name

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        key, after = _position(erasure.position)
        while page := _page(connection, erasure.no, key, after, limit):
            if rows := _unredacted(connection, page, erasure.person):
                return Found(rows, f"{rows[-1].message_key}:{rows[-1].redacted.event_id.hex()}")
            _, key, after = page[-1]
        return Found([], "")

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        events = [FoundEvent(*row) for row in rows]
        deliveries = redact_events(cursor, erasure.no, [event.redacted for event in events])
        # A hit that was recorded while the messages were being erased may have claimed one.
        cursor.executemany(FORGET_FIRSTS, [(key,) for key in {event.message_key for event in events}])
        if erasure.keep_opt_out:
            kept = [(e.account_no, erasure.digest, e.opted_out_at_ms) for e in events if e.opted_out_at_ms is not None]
            opt_outs.keep(cursor, kept)
        return Counts(events=len(events), deliveries=deliveries)


def _position(text: str) -> tuple[int, bytes]:
    if not text:
        return _FIRST_KEY, bytes(16)
    key, _, event_id = text.partition(":")
    return int(key), bytes.fromhex(event_id)


def _page(
    connection: StoreConnection, erasure_no: int, key: int, after: bytes, limit: int
) -> list[tuple[int, int, bytes]]:
    """Account number, key and id of the next events after a position, at most `limit`."""
    found: list[tuple[int, int, bytes]] = []
    first = key
    while len(found) < limit:
        keys = [row[0] for row in connection.rows(KEYS, (erasure_no, first, limit))]
        for each in keys:
            start = connection.dialect.event_id(after if each == key else bytes(16))
            rows = connection.rows(EVENTS, (each, start, limit - len(found)))
            found += [(account_no, each, bytes(event_id)) for account_no, event_id in rows]
            if len(found) == limit:
                return found
        if len(keys) < limit:
            return found
        first = keys[-1] + 1
    return found


def _unredacted(connection: StoreConnection, page: Sequence[tuple[int, int, bytes]], person: str) -> list[FoundEvent]:
    """The events of a page that are not redacted yet, until those with mail get too large for one transaction."""
    uuids = [UUID(bytes=event_id) for _, _, event_id in page]
    states = stored_states(connection, uuids)
    sizes = mail_sizes(connection, uuids)
    found: list[FoundEvent] = []
    size = 0
    for (account_no, key, event_id), uuid in zip(page, uuids, strict=True):
        state = states.get(uuid)
        if state is None or is_erased(state):
            continue
        event = decode_state(state)
        redacted = _redacted(event_id, event, person)
        if redacted.state == state_with(event, event.fields) and uuid not in sizes:
            continue  # it is about someone else, and does not reveal the person any more
        size += sizes.get(uuid, 0)
        if found and size > MAX_MAIL_BYTES:
            break
        opted_out_at_ms = event.time_ms if event.type == Trigger.UNSUBSCRIBE else None
        found.append(FoundEvent(redacted, account_no, key, opted_out_at_ms))
    return found


def _redacted(event_id: bytes, event: TrackingEventState, person: str) -> RedactedEvent:
    """The event as it stays. One about another recipient of a returned mail is delivered without the mail's text."""
    if event.type in _OF_RECIPIENTS:
        fields = event_of_other_recipient(json.loads(event.fields), person, person_of)
        if fields is not None:
            text = msgspec.json.encode(fields).decode()
            return RedactedEvent(event_id, state_with(event, text), is_erased=False)
    return erased_event(event_id, event)
