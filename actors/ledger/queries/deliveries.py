"""Queries for deliveries with their attempts: one by id, or a filtered list, newest first, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.commands.command import Page
from actors.commands.deliveries import AttemptView, DeliveryView, ListDeliveries
from actors.ledger.dialect import Cursor
from actors.ledger.queries import delivery_index
from actors.ledger.queries.filters import END_OF_TIME_MS, STATES, one_of, time_ms
from actors.ledger.queries.pagination import Number, decode_cursor, encode_cursor
from actors.ledger.store_connection import Row, StoreConnection, struct_of
from domain.event_catalogue.triggers import TRIGGER_CODES, TRIGGER_NAMES
from domain.values import DeliveryState, id_text

_SHOWN: Final = "id, event_id, type, state, created_at_ms, due_at_ms"
DELIVERY: Final = (
    "SELECT d.loop_no, d.id, d.event_id, d.type, d.state, d.created_at_ms, d.due_at_ms"
    " FROM deliveries AS d {join} loops AS l ON l.no = d.loop_no"
    " WHERE d.id = $1 AND l.account_no = $2 AND l.deleted = 0"
)
ATTEMPTS: Final = (
    "SELECT delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes, response_headers"
    " FROM attempts"
    " WHERE delivery_id {in $1} ORDER BY delivery_id, no"
)
#: A position before every delivery of the list.
_NEWEST: Final = (END_OF_TIME_MS, 2**63 - 1)


class DeliveryQueries(StoreConnection):
    """The part of `LedgerReader` that reads deliveries. Time ranges include their start and exclude their end."""

    def delivery(self, account_no: int, delivery_id: int) -> tuple[int, DeliveryView] | None:
        """A delivery with its attempts, and its loop's number. The loop must be the account's and not deleted."""
        with self.snapshot() as cursor:
            found = cursor.execute(DELIVERY, (delivery_id, account_no)).fetchone()
            if found is None:
                return None
            [view] = self._views(cursor, [found[1:]])
        return found[0], view

    def list_deliveries(self, loop_no: int, query: ListDeliveries) -> Page[DeliveryView]:
        """Deliveries of the loop with their attempts, newest first by creation time.

        Raises:
            InvalidInput: the cursor, the state or the type is invalid.
        """
        statement, params = deliveries_statement(loop_no, query)
        with self.snapshot() as cursor:
            found = cursor.execute(statement, params).fetchall()
            page = found[: query.limit]
            views = self._views(cursor, page)
        return Page(
            data=views,
            next=encode_cursor([page[-1][4], page[-1][0]]) if len(found) > query.limit else None,
        )

    def _views(self, cursor: Cursor, rows: Sequence[Row]) -> list[DeliveryView]:
        attempts: dict[int, list[AttemptView]] = {}
        for delivery_id, *attempt in cursor.execute(ATTEMPTS, (self.many([row[0] for row in rows]),)):
            attempts.setdefault(delivery_id, []).append(struct_of(AttemptView, attempt))
        return [delivery_view(row, attempts.get(row[0], [])) for row in rows]


def deliveries_statement(loop_no: int, query: ListDeliveries) -> tuple[str, delivery_index.IndexRange]:
    """SQL and parameters for one page of deliveries plus one row."""
    states = list(DeliveryState) if query.state is None else [one_of(STATES, query.state, "state")]
    types = delivery_index.ALL_TYPES if query.type is None else [one_of(TRIGGER_CODES, query.type, "type")]
    at_ms, at_id = _NEWEST if query.cursor is None else decode_cursor(query.cursor, tuple[Number, Number])
    until_ms = END_OF_TIME_MS if query.until_ms is None else query.until_ms
    part = delivery_index.IndexRange(
        loop_no=loop_no,
        since_ms=time_ms(query.since_ms or 0),
        until_ms=time_ms(min(until_ms, at_ms + 1)),
        at_ms=at_ms,
        at_id=at_id,
        limit=query.limit + 1,
    )
    return delivery_index.newest_first(_SHOWN, states, types), part


def delivery_view(row: Row, attempts: list[AttemptView]) -> DeliveryView:
    """The API's view of a delivery, from its columns and its attempts."""
    delivery_id, event_id, code, state, created_at_ms, due_at_ms = row
    return DeliveryView(
        id=f"dlv_{delivery_id}",
        event=id_text("evt", event_id),
        type=TRIGGER_NAMES[code],
        state=DeliveryState(state).name.lower(),
        created_at_ms=created_at_ms,
        next_attempt_at_ms=due_at_ms if state == DeliveryState.PENDING else None,
        attempts=attempts,
    )
