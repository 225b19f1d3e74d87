"""What the gateway answers: hits go to enrichment, commands to the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from actors.commands import Command
from actors.commands import protocol as wire

RecordHits = Callable[[bytes], Awaitable[None]]
Handle = Callable[[Command[Any]], Awaitable[object]]


class Gateway:
    """Answers the frames of `actors.commands.protocol`.

    Args:
        record_hits: takes the body of a `HITS` frame; returns when its hits are in the ledger.
        handle: carries a command out.
    """

    def __init__(self, record_hits: RecordHits, handle: Handle) -> None:
        self._record_hits = record_hits
        self._handle = handle

    async def answer(self, kind: int, body: bytes) -> bytes:
        """The `Answer` of a `FrameServer`."""
        if kind == wire.Kind.HITS:
            await self._record_hits(body)
            return b""
        return wire.answer_body(await self._handle(wire.read_call(body)))
