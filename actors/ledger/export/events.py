"""Exported events, each with its returned mail and its deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actors.commands.deliveries import AttemptView, EventDelivery
from actors.commands.recipients import ExportedMail, ExportedRecord
from actors.ledger.event_encoding import decode_kept_mail
from actors.ledger.queries.deliveries import ATTEMPTS, delivery_view
from actors.ledger.queries.events import event_view
from actors.ledger.queries.hot_path import KEPT_MAIL
from actors.ledger.store_connection import Row, StoreConnection, struct_of
from domain.values import id_text

#: Events that are read at once. Each may have 64 KiB of fields.
_BATCH: Final = 20
EVENTS_OF: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {by events_of_message}"
    "   WHERE message_key = $1 AND account_no = $2 AND event_id > $3 ORDER BY event_id LIMIT $4) AS e"
    " {join} {stored e}"
    " ORDER BY e.event_id"
)
#: Also of deleted loops.
DELIVERIES_OF: Final = (
    "SELECT l.id, d.id, d.event_id, d.type, d.state, d.created_at_ms, d.due_at_ms"
    " FROM deliveries AS d {join} loops AS l ON l.no = d.loop_no WHERE d.event_id {in $1} ORDER BY d.id"
)


def events_after(
    connection: StoreConnection, account_no: int, message_key: int, after: bytes
) -> Iterator[tuple[bytes, list[ExportedRecord]]]:
    """The events with this `message_key` after an id, in order: the id of each, and its records."""
    dialect = connection.dialect
    while True:
        found = connection.rows(EVENTS_OF, (message_key, account_no, dialect.event_id(after), _BATCH))
        for row in found:
            yield row[0], records_of(connection, row)
        if len(found) < _BATCH:
            return
        after = found[-1][0]


def records_of(connection: StoreConnection, row: Row) -> list[ExportedRecord]:
    """The records of an event with these columns: id, type and stored state."""
    event_id = row[0]
    records = [ExportedRecord(event=event_view(*row))]
    if mail := connection.row(KEPT_MAIL, (event_id.hex(),)):
        kept = ExportedMail(event=id_text("evt", event_id), mime=decode_kept_mail(mail[0]).mime)
        records.append(ExportedRecord(mail=kept))
    deliveries = connection.rows_of_events(DELIVERIES_OF, [event_id])
    attempts: dict[int, list[AttemptView]] = {}
    if deliveries:
        for delivery_id, *attempt in connection.rows(ATTEMPTS, (connection.many([each[1] for each in deliveries]),)):
            attempts.setdefault(delivery_id, []).append(struct_of(AttemptView, attempt))
    for loop_id, *delivery in deliveries:
        view = delivery_view(tuple(delivery), attempts.get(delivery[0], []))
        records.append(ExportedRecord(delivery=EventDelivery(loop_id=loop_id, delivery=view)))
    return records
