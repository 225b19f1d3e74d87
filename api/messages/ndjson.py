"""Registration of messages from NDJSON lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from actors.commands.messages import MessageResult, MessageSpec
from api.http.body import MAX_MESSAGE_TOKENS, MIB
from api.http.ndjson import LineFormat, LinesAnswerer, error_of
from api.http.response import json_bytes
from api.messages.registration import PreparedMessage, prepare, tracked
from api.schemas.messages import NewMessage
from api.tracking.urls import TrackingUrls
from domain.errors import FeedbackLoopsError

#: Limit of one message, whether it is the body or a line.
MAX_MESSAGE_BYTES: Final = 3 * MIB

Register = Callable[[list[MessageSpec]], Awaitable[list[MessageResult]]]


class LinesRegistrar(LinesAnswerer[NewMessage, PreparedMessage, MessageResult]):
    """Registers the messages of an NDJSON body; the ledger writes each command in one transaction.

    If the client sends the body again with the same Idempotency-Key, no message is registered twice.
    """

    def __init__(self, register: Register, urls: TrackingUrls, account_no: int, seed: str | None) -> None:
        super().__init__(LineFormat(NewMessage, "message", MAX_MESSAGE_BYTES, MAX_MESSAGE_TOKENS), in_flight=2)
        self._register = register
        self._urls = urls
        self._account_no = account_no
        self._seed = seed
        #: Keys of the messages in the answer.
        self.message_keys: list[int] = []

    async def prepare(self, number: int, model: NewMessage) -> PreparedMessage:
        return await prepare(model, self._urls, self._account_no, self._seed, number)

    async def carry_out(self, items: list[PreparedMessage]) -> list[MessageResult]:
        return await self._register([item.spec for item in items])

    async def answer_of(self, item: PreparedMessage, result: MessageResult) -> bytes:
        if result.rejection is not None:
            raise error_of(result.rejection)
        if result.message is None:
            raise FeedbackLoopsError("a message was neither registered nor rejected")
        self.message_keys.append(result.message.key)
        return json_bytes(await tracked(item, result.message, self._urls))
