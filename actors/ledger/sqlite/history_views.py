"""What the API lists of events: newest first, filtered, page by page."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from actors import commands as c
from actors.ledger.cursors import decode_cursor, encode_cursor
from actors.ledger.filters import time_ms, type_code
from actors.ledger.sqlite.reading import ReadConnection
from actors.ledger.sqlite.views import event_view
from domain.errors import InvalidInput
from domain.values import id_uuid

_EVENTS: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {where} ORDER BY event_id {order} LIMIT ?) AS e"
    " CROSS JOIN stored_events AS s ON s.originator_id = lower(hex(e.event_id)) AND s.originator_version = 1"
    " ORDER BY e.event_id {order}"
)

EventKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class HistoryViews(ReadConnection):
    """The part of `LedgerReader` that lists what happened. Of a range of time the start is in it, the end is not."""

    def list_events(self, query: c.ListEvents) -> c.EventPage:
        """Events of the account, newest first, with `after` oldest first.

        A recipient matches whatever the case of its ASCII letters.

        Raises:
            InvalidInput: the cursor, the type or `after` is unknown.
        """
        statement, params = events_statement(query)
        found = self.rows(statement, params)
        page = found[: query.limit]
        return c.EventPage(
            data=[event_view(*row) for row in page],
            next=encode_cursor([page[-1][0].hex()]) if len(found) > query.limit else None,
        )


def events_statement(query: c.ListEvents) -> tuple[str, list[object]]:
    """The SQL for a page of events and one more, and its parameters; by the index that fits the filters best.

    Event ids are UUIDv7: a range of time is a range of ids.
    """
    lower, upper = _first_id(query.since_ms or 0), b"\xff" * 16
    if query.until_ms is not None:
        upper = _first_id(query.until_ms)
    if query.after is not None:
        lower = max(lower, _id_after(query.after))
    if query.cursor is not None:
        (last,) = decode_cursor(query.cursor, tuple[EventKey])
        if query.after is None:
            upper = min(upper, bytes.fromhex(last))
        else:
            lower = max(lower, _id_after(last))
    conditions = ["account_no = ?", "event_id >= ?", "event_id < ?"]
    params: list[object] = [query.account.no, lower, upper]
    index = ""
    if query.type is not None:
        index = "INDEXED BY events_of_type"
        conditions.append("type = ?")
        params.append(type_code(query.type))
    if query.message_id is not None or query.recipient is not None:
        index = "INDEXED BY events_of_message"
        messages, wanted = _messages_statement(query)
        conditions.append(f"message_key IN ({messages})")
        params += wanted
    where = f"{index} WHERE {' AND '.join(conditions)}"
    return _EVENTS.format(where=where, order="DESC" if query.after is None else "ASC"), [*params, query.limit + 1]


def _messages_statement(query: c.ListEvents) -> tuple[str, list[object]]:
    conditions = ["account_no = ?"]
    params: list[object] = [query.account.no]
    for column, value in (("id", query.message_id), ("recipient", query.recipient)):
        if value is not None:
            conditions.append(f"{column} = ?")
            params.append(value)
    return f"SELECT key FROM messages WHERE {' AND '.join(conditions)}", params  # noqa: S608 - no value is in it


def _first_id(at_ms: int) -> bytes:
    """The smallest event id of that millisecond (RFC 9562 5.7: 48 bits of time come first)."""
    return (time_ms(at_ms) << 80).to_bytes(16, "big")


def _id_after(event_id: str) -> bytes:
    """The smallest id that is greater than an event's, given as `evt_…` or as its digits alone."""
    uuid = id_uuid("evt", f"evt_{event_id.removeprefix('evt_')}")
    if uuid is None:
        problem = "is not the id of an event (evt_…)"
        raise InvalidInput(f"after {problem}", [("/after", problem)])
    return min(uuid.int + 1, 2**128 - 1).to_bytes(16, "big")
