"""Queries for everything that is kept about a person: an export, page by page, and counts."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.recipients import MAX_COUNT, ExportedRecord, ExportPage, RecipientCounts
from actors.ledger.export.messages import MessageSection
from actors.ledger.export.profiles import ProfileSection
from actors.ledger.export.reports import ReportSection
from actors.ledger.export.section import Place, Recipient, Section
from actors.ledger.export.status import OPT_OUT, StatusSection
from actors.ledger.people import person_of
from actors.ledger.queries.erasures import ErasureQueries
from actors.ledger.queries.pagination import decode_cursor, encode_cursor
from domain.erasure import person_digest
from domain.errors import InvalidInput

SECTIONS: Final[tuple[Section, ...]] = (StatusSection(), MessageSection(), ProfileSection(), ReportSection())
#: A page ends with the record that reaches this size.
PAGE_BYTES: Final = 256 * 1024
#: Records of a page, at least; a few more if they belong together.
PAGE_RECORDS: Final = 200

#: Seconds after which a page ends, because a search through mails may find nothing for long.
PAGE_S: Final = 1.0

_MESSAGES_OF: Final = (
    "(SELECT key FROM messages {by messages_to_recipient} WHERE account_no = $1 AND person = $2) AS wanted"
)
_EVENTS_OF: Final = f"{_MESSAGES_OF} {{join}} events AS e {{by events_of_message}} ON e.message_key = wanted.key"
_COUNTED: Final = {
    "messages": _MESSAGES_OF,
    "events": _EVENTS_OF,
    "deliveries": f"{_EVENTS_OF} {{join}} deliveries AS d {{by deliveries_of_event}} ON d.event_id = e.event_id",
    "profiles": "profile_addresses WHERE account_no = $1 AND person = $2",
}
COUNTS: Final = {
    name: f"SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT $3) AS found"  # noqa: S608 - constants only
    for name, rows in _COUNTED.items()
}
_encode: Final = msgspec.json.Encoder().encode


class RecipientQueries(ErasureQueries):
    """The part of `LedgerReader` that reads what is kept about a person."""

    def export_page(self, account: Account, email: str, cursor: str | None) -> ExportPage:
        """The records after a cursor, until the page is full. Memory and time do not depend on their number.

        Raises:
            InvalidInput: the cursor is invalid.
        """
        number, place = (0, []) if cursor is None else decode_place(cursor)
        who = self._recipient(account, email)
        records: list[ExportedRecord] = []
        size, ends_s = 0, time.monotonic() + PAGE_S
        for at in range(number, len(SECTIONS)):
            for unit in SECTIONS[at].units(self, who, place):
                records += unit.records
                size += len(_encode(unit.records))
                is_full = size >= PAGE_BYTES or len(records) >= PAGE_RECORDS
                if is_full or time.monotonic() >= ends_s:
                    return ExportPage(records=records, next=encode_cursor([at, *unit.place]))
            place = []
        return ExportPage(records=records, next=None)

    def recipient_counts(self, account: Account, email: str) -> RecipientCounts:
        """How much the account keeps about a person, each number up to `MAX_COUNT`."""
        who = self._recipient(account, email)
        params = (who.account_no, who.person, MAX_COUNT)
        counts = {name: int(self.rows(query, params)[0][0]) for name, query in COUNTS.items()}
        return RecipientCounts(**counts, has_opt_out=self.row(OPT_OUT, (who.account_no, who.digest)) is not None)

    def _recipient(self, account: Account, email: str) -> Recipient:
        person = person_of(email)
        return Recipient(account.id, account.no, person, person_digest(self.digest_key(), person))


def decode_place(cursor: str) -> tuple[int, Place]:
    """The section's number and the place within it.

    Raises:
        InvalidInput: the cursor is not from an export.
    """
    number, *place = decode_cursor(cursor, list[int | str])
    if not isinstance(number, int) or not 0 <= number < len(SECTIONS):
        raise InvalidInput.at("/cursor", "is not a cursor of an export; start again without one")
    return number, place
