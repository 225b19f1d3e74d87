"""What the API lists of events and deliveries: newest first, filtered, page by page."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from actors import commands as c
from actors.ledger.cursors import Number, decode_cursor, encode_cursor
from actors.ledger.queries import json_text
from actors.ledger.reading import ReadConnection, Row
from actors.ledger.views import event_view
from domain.errors import InvalidInput
from domain.values import TRIGGER_CODES, TRIGGER_NAMES, DeliveryState, id_text

_EVENTS: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {} ORDER BY event_id DESC LIMIT ?) AS e"
    " CROSS JOIN stored_events AS s ON s.originator_id = lower(hex(e.event_id)) AND s.originator_version = 1"
    " ORDER BY e.event_id DESC"
)
_DELIVERIES_IN_STATE: Final = (
    "SELECT * FROM (SELECT id, event_id, type, state, created_at_ms, due_at_ms FROM deliveries"
    " INDEXED BY deliveries_listed WHERE loop_no = ? AND state = ? AND created_at_ms >= ? AND created_at_ms < ?"
    " AND (created_at_ms, id) < (?, ?) {} ORDER BY created_at_ms DESC, id DESC LIMIT ?)"
)
_NEWEST: Final = "{} ORDER BY created_at_ms DESC, id DESC LIMIT ?"
ATTEMPTS: Final = (
    "SELECT delivery_id, no, at_ms, duration_ms, status, error, excerpt, address FROM attempts"
    " WHERE delivery_id IN (SELECT value FROM json_each(?)) ORDER BY delivery_id, no"
)

_END_OF_TIME_MS: Final = 2**48 - 1
_LAST: Final = (2**63 - 1, 2**63 - 1)
EventKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class HistoryViews(ReadConnection):
    """The part of `LedgerReader` that lists what happened. Of a range of time the start is in it, the end is not."""

    def list_events(self, query: c.ListEvents) -> c.EventPage:
        """Events of the account, newest first. A recipient matches whatever the case of its ASCII letters.

        Raises:
            InvalidInput: the cursor or the type is unknown.
        """
        statement, params = events_statement(query)
        found = self.rows(statement, params)
        page = found[: query.limit]
        return c.EventPage(
            data=[event_view(*row) for row in page],
            next=encode_cursor([page[-1][0].hex()]) if len(found) > query.limit else None,
        )

    def list_deliveries(self, loop_no: int, query: c.ListDeliveries) -> c.DeliveryPage:
        """Deliveries of the loop with their attempts, newest first; their time is when they were created.

        Raises:
            InvalidInput: the cursor, the state or the type is unknown.
        """
        statement, params = deliveries_statement(loop_no, query)
        with self.snapshot() as cursor:
            found = cursor.execute(statement, params).fetchall()
            page = found[: query.limit]
            attempts = cursor.execute(ATTEMPTS, (json_text(row[0] for row in page),)).fetchall()
        made: dict[int, list[c.AttemptView]] = {}
        for delivery_id, *attempt in attempts:
            made.setdefault(delivery_id, []).append(_attempt_view(*attempt))
        return c.DeliveryPage(
            data=[_delivery_view(row, made.get(row[0], [])) for row in page],
            next=encode_cursor([page[-1][4], page[-1][0]]) if len(found) > query.limit else None,
        )


# --- events


def events_statement(query: c.ListEvents) -> tuple[str, list[object]]:
    """The SQL for a page of events and one more, and its parameters; by the index that fits the filters best.

    Event ids are UUIDv7: a range of time is a range of ids.
    """
    upper = b"\xff" * 16 if query.until_ms is None else _first_id(query.until_ms)
    if query.cursor is not None:
        (last,) = decode_cursor(query.cursor, tuple[EventKey])
        upper = min(upper, bytes.fromhex(last))
    conditions = ["account_no = ?", "event_id >= ?", "event_id < ?"]
    params: list[object] = [query.account.no, _first_id(query.since_ms or 0), upper]
    index = ""
    if query.type is not None:
        index = "INDEXED BY events_of_type"
        conditions.append("type = ?")
        params.append(_type_code(query.type))
    if query.message_id is not None or query.recipient is not None:
        index = "INDEXED BY events_of_message"
        messages, wanted = _messages_statement(query)
        conditions.append(f"message_key IN ({messages})")
        params += wanted
    return _EVENTS.format(f"{index} WHERE {' AND '.join(conditions)}"), [*params, query.limit + 1]


def _messages_statement(query: c.ListEvents) -> tuple[str, list[object]]:
    conditions = ["account_no = ?"]
    params: list[object] = [query.account.no]
    for column, value in (("id", query.message_id), ("recipient", query.recipient)):
        if value is not None:
            conditions.append(f"{column} = ?")
            params.append(value)
    return f"SELECT key FROM messages WHERE {' AND '.join(conditions)}", params  # noqa: S608 - no value is in it


def _first_id(time_ms: int) -> bytes:
    """The smallest event id of that millisecond (RFC 9562 5.7: 48 bits of time come first)."""
    return (_time(time_ms) << 80).to_bytes(16, "big")


def _time(time_ms: int) -> int:
    return max(0, min(time_ms, _END_OF_TIME_MS))


def _type_code(name: str) -> int:
    if name not in TRIGGER_CODES:
        problem = f"must be one of {', '.join(TRIGGER_CODES)}"
        raise InvalidInput(f"type {problem}", [("/type", problem)])
    return TRIGGER_CODES[name]


# --- deliveries


def deliveries_statement(loop_no: int, query: c.ListDeliveries) -> tuple[str, list[object]]:
    """The SQL for a page of deliveries and one more, and its parameters.

    Each state has a stretch of the index of its own, read in order and no further than the page is long.
    """
    before = _LAST if query.cursor is None else decode_cursor(query.cursor, tuple[Number, Number])
    since_ms = _time(query.since_ms or 0)
    until_ms = _END_OF_TIME_MS if query.until_ms is None else _time(query.until_ms)
    of_type = "" if query.type is None else f"AND type = {_type_code(query.type)}"
    states = list(DeliveryState) if query.state is None else [_state(query.state)]
    params: list[object] = []
    for state in states:
        params += [loop_no, int(state), since_ms, until_ms, *before, query.limit + 1]
    one_state = _DELIVERIES_IN_STATE.format(of_type)
    return _NEWEST.format(" UNION ALL ".join([one_state] * len(states))), [*params, query.limit + 1]


def _state(name: str) -> DeliveryState:
    names = [state.name.lower() for state in DeliveryState]
    if name not in names:
        problem = f"must be one of {', '.join(names)}"
        raise InvalidInput(f"state {problem}", [("/state", problem)])
    return DeliveryState[name.upper()]


def _delivery_view(row: Row, attempts: list[c.AttemptView]) -> c.DeliveryView:
    delivery_id, event_id, type_code, state, created_at_ms, due_at_ms = row
    return c.DeliveryView(
        id=f"dlv_{delivery_id}",
        event=id_text("evt", event_id),
        type=TRIGGER_NAMES[type_code],
        state=DeliveryState(state).name.lower(),
        created_at_ms=created_at_ms,
        next_attempt_at_ms=due_at_ms if state == DeliveryState.PENDING else None,
        attempts=attempts,
    )


def _attempt_view(no: int, at_ms: int, duration_ms: int, *answer: Any) -> c.AttemptView:
    status, error, excerpt, address = answer
    return c.AttemptView(
        no=no,
        at_ms=at_ms,
        duration_ms=duration_ms,
        status=status,
        error=error,
        response_excerpt=excerpt,
        address=address,
    )
