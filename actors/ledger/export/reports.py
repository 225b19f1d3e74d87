"""Exported reports without a message, whose texts have the person's address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from actors.commands.recipients import ExportedRecord
from actors.ledger.event_encoding import decode_delivered
from actors.ledger.export.events import records_of
from actors.ledger.export.section import Place, Recipient, Unit
from actors.ledger.queries.reports import report_view
from actors.ledger.store_connection import Row, StoreConnection
from domain.address_search import AddressSearch
from domain.reports.intake import ReportState, further_id

#: Reports that are read at once.
_BATCH: Final = 20
REPORTS_AFTER: Final = (
    "SELECT report_id, state, source, kind, events, truncated, first_id FROM reports"
    " WHERE account_no = $1 AND state = $2 AND report_id > $3 ORDER BY report_id LIMIT $4"
)
EVENTS: Final = (
    "SELECT e.event_id, e.type, s.state FROM events AS e {join} {stored e} WHERE e.account_no = $1 AND e.event_id = $2"
)
_STATES: Final = (ReportState.UNMATCHED, ReportState.UNREADABLE)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class ReportSection:
    """Reports of the last 30 days. A place is `[state, report id]`.

    There is a unit for each report, also without records, because the search takes time: a page may end after any.
    """

    def units(self, connection: StoreConnection, who: Recipient, after: Place) -> Iterator[Unit]:
        search = AddressSearch(who.person)
        first, last = (int(after[0]), bytes.fromhex(str(after[1]))) if after else (0, bytes(16))
        for state in _STATES:
            if state >= first:
                yield from _in_state(connection, who, search, state, last if state == first else bytes(16))


def _in_state(
    connection: StoreConnection, who: Recipient, search: AddressSearch, state: int, after: bytes
) -> Iterator[Unit]:
    while True:
        found = connection.rows(REPORTS_AFTER, (who.account_no, state, connection.dialect.event_id(after), _BATCH))
        for row in found:
            yield Unit([state, row[0].hex()], _records(connection, who, search, row))
        if len(found) < _BATCH:
            return
        after = found[-1][0]


def _records(connection: StoreConnection, who: Recipient, search: AddressSearch, row: Row) -> list[ExportedRecord]:
    """The report with its events, if one of them has the address; else nothing."""
    report_id, events = row[0], row[4]
    records: list[ExportedRecord] = []
    is_found = False
    for number in range(events):
        event_id = connection.dialect.event_id(further_id(report_id, number))
        if stored := connection.row(EVENTS, (who.account_no, event_id)):
            of_event = records_of(connection, stored)
            is_found = is_found or _has_address(search, stored[2], of_event)
            records += of_event
    return [ExportedRecord(report=report_view(row)), *records] if is_found else []


def _has_address(search: AddressSearch, state: bytes, records: list[ExportedRecord]) -> bool:
    fields = _decode(decode_delivered(state).fields)
    if search.is_in("\n".join(value for value in fields.values() if isinstance(value, str))):
        return True
    return any(search.is_in_mail(record.mail.mime) for record in records if record.mail is not None)
