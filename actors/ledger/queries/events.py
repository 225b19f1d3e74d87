"""Queries for the event list: filtered, newest first, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from actors.commands.command import Page
from actors.commands.events import EventView, ListEvents
from actors.ledger.dialect import Dialect
from actors.ledger.event_encoding import decode_delivered
from actors.ledger.people import person_named
from actors.ledger.queries.filters import first_event_id, id_after, one_of
from actors.ledger.queries.pagination import decode_cursor, page_of
from actors.ledger.store_connection import StoreConnection
from domain.errors import InvalidInput
from domain.event_catalogue.triggers import TRIGGER_CODES, TRIGGER_NAMES
from domain.values import id_text, id_uuid

_EVENTS: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {where} ORDER BY event_id {order} LIMIT {limit}) AS e"
    " {{join}} {{stored e}}"
    " ORDER BY e.event_id {order}"
)

EventKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


def event_view(event_id: bytes, type_code: int, state: bytes) -> EventView:
    """The API's view of an event, from its row in `events` and its stored state."""
    recorded = decode_delivered(state)
    return EventView(
        id=id_text("evt", event_id),
        type=TRIGGER_NAMES[type_code],
        time_ms=recorded.time_ms,
        fields=msgspec.Raw(recorded.fields.encode()),
    )


class EventQueries(StoreConnection):
    """The part of `LedgerReader` that lists events. Time ranges include their start and exclude their end."""

    def list_events(self, query: ListEvents) -> Page[EventView]:
        """Events of the account, newest first; oldest first if `after` is given.

        The recipient filter finds all spellings of an address (`actors.ledger.people`).

        Raises:
            InvalidInput: the cursor, the type or `after` is invalid.
        """
        statement, params = events_statement(query, self.dialect)
        found = self.rows(statement, params)
        return page_of(found, query.limit, lambda row: event_view(*row), lambda row: [row[0].hex()])


def events_statement(query: ListEvents, dialect: Dialect) -> tuple[str, list[object]]:
    """SQL and parameters for one page of events plus one row, using the index that fits the filters best.

    Event ids are UUIDv7, so a time range is a range of ids.
    """
    lower, upper = first_event_id(query.since_ms or 0), b"\xff" * 16
    if query.until_ms is not None:
        upper = first_event_id(query.until_ms)
    if query.after is not None:
        lower = max(lower, _id_after(query.after))
    if query.cursor is not None:
        (last,) = decode_cursor(query.cursor, tuple[EventKey])
        if query.after is None:
            upper = min(upper, bytes.fromhex(last))
        else:
            lower = max(lower, _id_after(last))
    conditions = ["account_no = $1", "event_id >= $2", "event_id < $3"]
    params: list[object] = [query.account.no, dialect.event_id(lower), dialect.event_id(upper), query.limit + 1]
    index = ""

    def parameter(value: object) -> str:
        params.append(value)
        return f"${len(params)}"

    if query.type is not None:
        index = "{by events_of_type}"
        conditions.append(f"type = {parameter(one_of(TRIGGER_CODES, query.type, 'type'))}")
    if query.message_id is not None or query.recipient is not None:
        index = "{by events_of_message}"
        conditions.append(f"message_key IN ({_messages_statement(query, parameter)})")
    where = f"{index} WHERE {' AND '.join(conditions)}"
    return _EVENTS.format(where=where, order="DESC" if query.after is None else "ASC", limit="$4"), params


def _messages_statement(query: ListEvents, parameter: Callable[[object], str]) -> str:
    conditions = ["account_no = $1"]
    if query.message_id is not None:
        conditions.append(f"id = {parameter(query.message_id)}")
    if query.recipient is not None:
        conditions.append(f"person = {parameter(person_named(query.recipient))}")
    return f"SELECT key FROM messages WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants only


def _id_after(event_id: str) -> bytes:
    """The smallest id greater than the given event id (`evt_…`, or only its hexadecimal digits)."""
    uuid = id_uuid("evt", f"evt_{event_id.removeprefix('evt_')}")
    if uuid is None:
        raise InvalidInput.at("/after", "is not the id of an event (evt_…)")
    return id_after(uuid.bytes)
