"""What the gateway answers: intake goes to enrichment, commands to the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from actors.commands import protocol as wire
from actors.commands.command import Command

RecordIntake = Callable[[bytes], Awaitable[None]]
Handle = Callable[[Command[Any]], Awaitable[object]]


class Gateway:
    """Answers the frames of `actors.commands.protocol`.

    Args:
        record_intake: takes the body of an `INTAKE` frame; returns when its entries are in the ledger.
        handle: carries a command out.
    """

    def __init__(self, record_intake: RecordIntake, handle: Handle) -> None:
        self._record_intake = record_intake
        self._handle = handle

    async def answer(self, kind: int, body: bytes) -> bytes:
        """The `Answer` of a `FrameServer`."""
        if kind == wire.Kind.INTAKE:
            await self._record_intake(body)
            return b""
        return wire.answer_body(await self._handle(wire.read_call(body)))
