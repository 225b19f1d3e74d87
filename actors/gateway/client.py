"""The front end's way to the actors: a link to the gateway's Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

from actors.commands import protocol as wire
from actors.commands.command import Command
from actors.commands.intake import encode_batch
from actors.ipc.connection import Link
from actors.ipc.frames import FrameProtocol

R = TypeVar("R")

#: Longer than the longest command: a verification that waits for two time-outs and a DNS one.
CALL_TIMEOUT_S: Final = 60.0
INTAKE_TIMEOUT_S: Final = 30.0


class GatewayClient:
    """Implements `actors.client.Client`. Any number of calls are under way; their answers come in any order."""

    def __init__(self, socket_path: str) -> None:
        async def connect(protocol: Callable[[], FrameProtocol]) -> None:
            await asyncio.get_running_loop().create_unix_connection(protocol, socket_path)

        self._link = Link("the gateway to the actors", connect)

    async def start(self) -> None:
        """Does nothing: the link connects when it is needed."""

    async def close(self) -> None:
        """Closes the socket. What is under way fails with `Unavailable`."""
        await self._link.close()

    async def call(self, command: Command[R]) -> R:
        """See `Client.call`."""
        answer = await self._link.ask(wire.Kind.CALL, wire.call_body(command), CALL_TIMEOUT_S)
        return cast(R, wire.read_answer(command, answer))

    async def record_intake(self, entries: Sequence[bytes]) -> None:
        """See `Client.record_intake`."""
        await self._link.ask(wire.Kind.INTAKE, encode_batch(entries), INTAKE_TIMEOUT_S)
