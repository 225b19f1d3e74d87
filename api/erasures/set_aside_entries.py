"""Review of entries that the journal has set aside: which of them an erasure removes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from actors.commands.front_end_erasures import FindErasedMessages, FrontEndErasure
from actors.commands.intake import encode_batch, read_batch
from actors.gateway.client import Client
from domain.address_search import AddressSearch
from domain.errors import InvalidInput
from domain.reports.intake import Report, ReturnedMailEntry
from domain.tracking import Intake, TrackingHit

#: Messages that are looked up at once.
_KEYS_AT_ONCE: Final = 500

ReadMail = Callable[[str], bytes | None]


async def entries_to_drop(
    entries: Sequence[tuple[int, bytes]], erasures: Sequence[FrontEndErasure], client: Client, read_mail: ReadMail
) -> list[int]:
    """The numbers of the entries that are about one of these people.

    `read_mail`: the content of a spool file. A hit belongs to the person of its message. All others are searched for
    the address; if that is no longer known, every report and mail from before the erasure counts as the person's.

    Raises:
        FeedbackLoopsError: the ledger cannot be asked.
    """
    decoded = [(seq, _decoded(entry), entry) for seq, entry in entries]
    keys = sorted({entry.message_key for _, entry, _ in decoded if isinstance(entry, TrackingHit)})
    erased: set[int] = set()
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        erased.update(await client.call(FindErasedMessages(keys=keys[first : first + _KEYS_AT_ONCE])))
    searches = [_Search(erasure) for erasure in erasures]

    def belongs(intake: Intake | None, entry: bytes) -> bool:
        if isinstance(intake, TrackingHit) and intake.message_key in erased:
            return True
        text = _text(intake, entry, read_mail)
        return any(search.finds(intake, text) for search in searches)

    return await asyncio.to_thread(lambda: [seq for seq, intake, entry in decoded if belongs(intake, entry)])


class _Search:
    """Search for the person of one erasure."""

    def __init__(self, erasure: FrontEndErasure) -> None:
        self._account_no = erasure.account_no
        self._until_ms = erasure.requested_at_ms
        self._address = AddressSearch(erasure.person) if erasure.person else None

    def finds(self, intake: Intake | None, text: str) -> bool:
        if intake is not None and self._account_no not in (0, intake.account_no):
            return False
        if self._address is not None:
            return self._address.is_in_mail(text)
        if isinstance(intake, Report | ReturnedMailEntry):
            return intake.arrived_ms <= self._until_ms
        return intake is None


def _decoded(entry: bytes) -> Intake | None:
    """The entry; None if this version cannot read it."""
    try:
        batch = read_batch(encode_batch([entry]))
    except InvalidInput:
        return None
    return batch.entries[0] if batch.entries else None


def _text(intake: Intake | None, entry: bytes, read_mail: ReadMail) -> str:
    if isinstance(intake, ReturnedMailEntry) and intake.spool:
        entry = read_mail(intake.spool) or b""
    return entry.decode("latin-1")
