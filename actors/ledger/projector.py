"""Projection of stored events into the read models, in the transaction that stores the events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.ledger.access.projection import ACCESS_HANDLERS
from actors.ledger.dialect import Cursor
from actors.ledger.loop_projection import LoopKey, LoopProjection
from domain import enrichment
from domain.account import Account
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.feedback_loop import FeedbackLoop
from domain.ledger import event_mapper
from domain.message import Message
from domain.profile import Profile
from domain.tracking_event import TrackingEventRecorded
from domain.values import id_text

_json: Final = msgspec.json.Encoder()


def _text(value: object) -> str:
    return _json.encode(value).decode()


def project(cursor: Cursor, stored_events: Iterable[StoredEvent]) -> None:
    """Projects events by topic, in the given order. Skips events of topics without a handler, and does not decode them.

    Projecting the whole log in order into empty tables gives the same rows as projecting it event by event.

    Raises:
        Exception: the driver's error if a unique value is taken; the caller must roll back.
    """
    for stored in stored_events:
        if handler := HANDLERS.get(stored.topic):
            handler(cursor, event_mapper().to_domain_event(stored))


# --- accounts


def _account_opened(cursor: Cursor, event: Account.Opened) -> None:
    cursor.execute(
        "INSERT INTO accounts (no, id, name, created_at_ms) SELECT coalesce(max(no), 0) + 1, $1, $2, $3 FROM accounts",
        (id_text("acc", event.originator_id), event.name, event.at_ms),
    )


# --- messages and profiles


def _message_registered(cursor: Cursor, event: Message.Registered) -> None:
    cursor.execute(
        "INSERT INTO messages"
        " (key, account_no, id, recipient, tags, mailing, database, profile, created_at_ms, links)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        (
            event.key,
            event.account_no,
            event.message_id,
            event.recipient,
            _text(event.tags),
            event.mailing,
            event.database,
            event.profile,
            event.at_ms,
            _text(event.links),
        ),
    )


def _profile_created(cursor: Cursor, event: Profile.Created) -> None:
    cursor.execute(
        "INSERT INTO profiles"
        " (account_no, database, id, originator_id, created_at_ms, modified_at_ms, interests, fields)"
        " VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
        (
            event.account_no,
            event.database,
            event.profile_id,
            event.originator_id.hex,
            event.at_ms,
            _text(event.interests),
            event.fields_json,
        ),
    )


def _profile_updated(cursor: Cursor, event: Profile.Updated) -> None:
    cursor.execute(
        "UPDATE profiles SET modified_at_ms = $1, interests = $2, fields = $3 WHERE originator_id = $4",
        (event.at_ms, _text(event.interests), event.fields_json, event.originator_id.hex),
    )


# --- tracking events


def _tracking_event_recorded(cursor: Cursor, event: TrackingEventRecorded) -> None:
    """Writes the same rows as a store's outbox, except deliveries. Used when the read models are rebuilt."""
    event_id = cursor.dialect.event_id(event.originator_id.bytes)
    cursor.execute(
        "INSERT INTO events (account_no, event_id, type, message_key) VALUES ($1, $2, $3, $4)",
        (event.account_no, event_id, TRIGGER_CODES[event.type], event.message_key),
    )
    if first := first_hit(event.message_key, event.type, event.fields):
        cursor.execute("INSERT INTO first_hits (message_key, first_key) VALUES ($1, $2)", first)


def first_hit(message_key: int, type_: str, fields_json: str) -> tuple[int, int] | None:
    """The row of `first_hits` for a tracking event, or None if it was not the first of its kind."""
    fields = json.loads(fields_json)
    key = enrichment.first_key(type_, fields.get("original", "")) if fields.get("first") else None
    return None if key is None else (message_key, key)


# --- feedback loops


def _loop_registered(cursor: Cursor, event: FeedbackLoop.Registered) -> None:
    document = LoopProjection.registered(event)
    cursor.execute(
        "INSERT INTO loops (no, id, account_no, state, doc, deleted)"
        " SELECT coalesce(max(no), 0) + 1, $1, $2, $3, $4, 0 FROM loops",
        (id_text("fl", event.originator_id), event.account_no, document.state, document.to_text()),
    )


def _loop_changed(cursor: Cursor, event: FeedbackLoop.Event) -> None:
    """Updates a loop's row, and increments the routing table's version if the loop's route has changed."""
    loop_id = id_text("fl", event.originator_id)
    found = cursor.execute("SELECT no, id, account_no, doc FROM loops WHERE id = $1", (loop_id,)).fetchone()
    if found is None:
        raise ValueError(f"the log has an event of {loop_id} before the loop's registration")
    key, document = LoopKey(*found[:3]), LoopProjection.from_text(found[3])
    before = document.route(key)
    document.apply(event)
    cursor.execute(
        "UPDATE loops SET state = $1, doc = $2, deleted = $3 WHERE no = $4",
        (document.state, document.to_text(), int(document.is_deleted), key.no),
    )
    if before != document.route(key):
        cursor.execute("UPDATE meta SET value = value + 1 WHERE name = 'routes_version'")


#: Handlers by topic. Failed verifications and new secrets, for example, do not change any read model.
HANDLERS: Final[dict[str, Callable[[Cursor, Any], None]]] = {
    Account.Opened.TOPIC: _account_opened,
    **ACCESS_HANDLERS,
    Message.Registered.TOPIC: _message_registered,
    Profile.Created.TOPIC: _profile_created,
    Profile.Updated.TOPIC: _profile_updated,
    TrackingEventRecorded.TOPIC: _tracking_event_recorded,
    FeedbackLoop.Registered.TOPIC: _loop_registered,
    FeedbackLoop.Changed.TOPIC: _loop_changed,
    FeedbackLoop.UrlChanged.TOPIC: _loop_changed,
    FeedbackLoop.Verified.TOPIC: _loop_changed,
    FeedbackLoop.Paused.TOPIC: _loop_changed,
    FeedbackLoop.Resumed.TOPIC: _loop_changed,
    FeedbackLoop.Disabled.TOPIC: _loop_changed,
    FeedbackLoop.Deleted.TOPIC: _loop_changed,
}
