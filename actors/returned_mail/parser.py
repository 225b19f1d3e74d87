"""Parser of returned mail for asyncio, in a process of its own. A mail that ends the process twice is `unreadable`."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from actors.returned_mail.frames import Request, Response
from actors.returned_mail.worker import MailWorker, WorkerLimits
from domain.returned_mail.reader import UNREADABLE
from domain.returned_mail.report import ReturnedMail

log = logging.getLogger(__name__)

_LIMITS: Final = WorkerLimits()
_DECODER: Final = msgspec.msgpack.Decoder(Response)


class MailParser(MailWorker):
    """Parses one mail at a time. Use it in one event loop."""

    def __init__(self, limits: WorkerLimits = _LIMITS, module: str = "actors.returned_mail.parser_process") -> None:
        super().__init__(module, limits)

    async def parse(self, raw: bytes, envelope: str = "") -> ReturnedMail:
        """The content of a returned mail. `envelope` is the address that the mail was delivered to, if it is known.

        Raises:
            Unavailable: the process does not start.
        """
        payload = await self._ask(msgspec.msgpack.encode(Request(raw, envelope)))
        if payload is None:
            return UNREADABLE
        response = _DECODER.decode(payload)
        if response.error:
            facts = {"action": "mail.unreadable", "error": response.error, "bytes": len(raw)}
            log.warning("a mail cannot be parsed", extra=facts)
        return response.report
