"""Client interface of the API to the actors, and its implementation on the gateway's Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

from actors.commands import protocol
from actors.commands.command import Command
from actors.commands.intake import encode_batch
from actors.commands.protocol import GatewayFrame
from actors.ipc.connection import Connection
from actors.ipc.frames import FrameProtocol
from actors.ipc.socket_key import read_key

R = TypeVar("R")

#: Longer than the longest command: a verification that waits for two HTTP time-outs and one of DNS.
CALL_TIMEOUT_S: Final = 60.0
INTAKE_TIMEOUT_S: Final = 30.0


class Client(Protocol):
    """Client of the actors, for the API."""

    async def call(self, command: Command[R]) -> R:
        """Executes the command.

        Raises:
            FeedbackLoopsError: any error of `domain.errors`; `Unavailable` when the actors cannot be reached.
        """
        ...

    async def record_intake(self, entries: list[bytes]) -> None:
        """Hands over at most 256 encoded entries (`actors.commands.intake`); returns when they are in the ledger.

        Sending the same entries again stores nothing twice.

        Raises:
            InvalidInput: one of the entries is broken, and nothing was recorded.
            UnknownIntake: all were recorded except those at the error's positions.
            FeedbackLoopsError: they may or may not be in the ledger; send them again.
        """
        ...


class GatewayClient:
    """A `Client` with any number of calls in flight. It connects when it is first needed."""

    def __init__(self, socket_path: Path) -> None:
        async def connect(make_protocol: Callable[[], FrameProtocol]) -> None:
            await asyncio.get_running_loop().create_unix_connection(make_protocol, str(socket_path))

        self._connection = Connection("the gateway to the actors", connect, partial(read_key, socket_path))

    async def close(self) -> None:
        """Closes the socket. Calls in flight fail with `Unavailable`."""
        await self._connection.close()

    async def call(self, command: Command[R]) -> R:
        body = protocol.call_body(command)
        answer = await self._connection.request(GatewayFrame.CALL, body, CALL_TIMEOUT_S)
        return cast(R, protocol.read_answer(command, answer))

    async def record_intake(self, entries: list[bytes]) -> None:
        await self._connection.request(GatewayFrame.INTAKE, encode_batch(entries), INTAKE_TIMEOUT_S)
