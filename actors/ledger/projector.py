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
from actors.ledger.people import person_of
from actors.ledger.profile_projection import PROFILE_HANDLERS
from domain import enrichment
from domain.account import Account
from domain.erasure import ERASED
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.feedback_loop import FeedbackLoop
from domain.ledger import event_mapper
from domain.message import Message
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


# --- messages


def _message_registered(cursor: Cursor, event: Message.Registered) -> None:
    cursor.execute(
        "INSERT INTO messages"
        " (key, account_no, id, recipient, tags, mailing, database, profile, created_at_ms, reference, person, links)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
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
            event.reference,
            person_of(event.recipient),
            _text(event.links),
        ),
    )
    if event.tags:
        cursor.executemany(
            "INSERT INTO message_tags (account_no, tag, message_key) VALUES ($1, $2, $3)",
            [(event.account_no, tag, event.key) for tag in dict.fromkeys(event.tags)],
        )


#: An erased message keeps its id, what it belonged to, and when it was sent.
ERASE_MESSAGE: Final = (
    "UPDATE messages SET recipient = '', person = '', links = '[]', reference = NULL, erased_at_ms = $2 WHERE key = $1"
)
#: The number of a click is a digest of its link.
FORGET_FIRSTS: Final = "DELETE FROM first_hits WHERE message_key = $1"


def _message_erased(cursor: Cursor, event: Message.Erased) -> None:
    cursor.execute(ERASE_MESSAGE, (event.key, event.at_ms))
    cursor.execute(FORGET_FIRSTS, (event.key,))


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
    """The row of `first_hits` for a tracking event, or None if it was not the first of its kind, or is erased."""
    fields = json.loads(fields_json)
    if fields.get(ERASED):
        return None
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
    Message.Erased.TOPIC: _message_erased,
    **PROFILE_HANDLERS,
    TrackingEventRecorded.TOPIC: _tracking_event_recorded,
    FeedbackLoop.Registered.TOPIC: _loop_registered,
    FeedbackLoop.Changed.TOPIC: _loop_changed,
    FeedbackLoop.UrlChanged.TOPIC: _loop_changed,
    FeedbackLoop.Verified.TOPIC: _loop_changed,
    FeedbackLoop.Paused.TOPIC: _loop_changed,
    FeedbackLoop.Resumed.TOPIC: _loop_changed,
    FeedbackLoop.Disabled.TOPIC: _loop_changed,
    FeedbackLoop.SecretRotated.TOPIC: _loop_changed,
    FeedbackLoop.Deleted.TOPIC: _loop_changed,
}
