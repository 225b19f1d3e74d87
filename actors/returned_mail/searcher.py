"""Search for addresses in mails for asyncio, in a process of its own.

A search of a large mail takes a tenth of a second and holds Python's lock all the time, so everything else in the
process would wait.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.returned_mail.frames import AddressesRequest, SearchRequest
from actors.returned_mail.worker import MailWorker, WorkerLimits

#: Real mails take a few milliseconds; the longest that is kept, made to be slow, takes a second or two.
_LIMITS: Final = WorkerLimits(cpu_s=20, time_s=60.0)
#: Real mails have a few hundred texts that may be an address, and pictures a few thousand.
MAX_ADDRESSES: Final = 20_000
_decode: Final = msgspec.msgpack.Decoder(bool).decode
_decode_list: Final = msgspec.msgpack.Decoder(list[str]).decode


class AddressSearcher(MailWorker):
    """Searches one mail at a time. Use it in one event loop."""

    def __init__(self, limits: WorkerLimits = _LIMITS, module: str = "actors.returned_mail.search_process") -> None:
        super().__init__(module, limits)

    async def finds(self, person: str, texts: list[str], mails: list[str]) -> bool:
        """Whether one of the texts or mails has the address of the person (`actors.ledger.people.person_of`).

        What cannot be searched may have it, so it counts as found.

        Raises:
            Unavailable: the process does not start.
        """
        payload = await self._ask(msgspec.msgpack.encode(SearchRequest(person, texts, mails)))
        return payload is None or _decode(payload)

    async def addresses(self, texts: list[str], mails: list[str]) -> list[str]:
        """All that may be an address in the texts and mails, at most `MAX_ADDRESSES`; none if they cannot be searched.

        Raises:
            Unavailable: the process does not start.
        """
        payload = await self._ask(msgspec.msgpack.encode(AddressesRequest(texts, mails, MAX_ADDRESSES)))
        return [] if payload is None else _decode_list(payload)
