"""Returned mails of events, read when they are POSTed: deliveries and their buffers do not carry them."""

from __future__ import annotations

import asyncio
from typing import Final

from actors.ledger.reader import LedgerReader
from domain.delivery import OfferedDelivery
from domain.errors import StoreUnavailable
from domain.event_catalogue.triggers import Trigger

_TYPES: Final = frozenset({Trigger.BOUNCE.value, Trigger.ABUSE.value})
#: In the fields of every event that has a mail.
_MARK: Final = b'"mime_charset"'
#: Seconds between attempts to read while the store is away.
_RETRY_S: Final = 1.0


async def kept_mail(reader: LedgerReader, delivery: OfferedDelivery) -> str | None:
    """The text of the returned mail of a delivery's event. Waits while the store is away."""
    if delivery.type not in _TYPES or _MARK not in delivery.fields:
        return None
    while True:
        try:
            return await asyncio.to_thread(reader.kept_mail, delivery.event_id)
        except StoreUnavailable:
            await asyncio.sleep(_RETRY_S)
