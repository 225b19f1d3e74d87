"""Connections of a process to the actors that it sends frames to.

What is sent with every event goes over these connections: a Ray call costs about a millisecond of two cores, and a
frame on an open connection a twentieth of that (ADR 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from actors.actor_names import display_name
from actors.ipc.connection import Connection
from actors.ipc.frames import FrameProtocol

CONNECT_TIMEOUT_S: Final = 3.0
REQUEST_TIMEOUT_S: Final = 30.0

#: Finds the host and port where the actor with a name listens now. Raises FeedbackLoopsError.
FindAddress = Callable[[str], Awaitable[tuple[str, int]]]


class ConnectionPool:
    """One connection per actor, by name. After a loss the address is looked up again: the actor may have moved."""

    def __init__(self, find_address: FindAddress, key: bytes) -> None:
        self._find_address = find_address
        self._key = key
        self._connections: dict[str, Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def request(self, name: str, kind: int, body: bytes, timeout_s: float = REQUEST_TIMEOUT_S) -> bytes:
        """Sends a request to the actor; see `Connection.request`."""
        return await self._to(name).request(kind, body, timeout_s)

    def send(self, name: str, kind: int, body: bytes) -> None:
        """Sends a message to the actor; see `Connection.send`."""
        self._to(name).send(kind, body)

    def close(self, name: str) -> None:
        """Closes the connection to an actor that is no longer needed; requests in flight there fail."""
        if (connection := self._connections.pop(name, None)) is not None:
            self._closing.add(task := asyncio.create_task(connection.close(), name=f"close connection to {name}"))
            task.add_done_callback(self._closing.discard)

    def _to(self, name: str) -> Connection:
        if (known := self._connections.get(name)) is not None:
            return known

        async def connect(protocol: Callable[[], FrameProtocol]) -> None:
            host, port = await self._find_address(name)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):  # the machine may have been lost since
                await asyncio.get_running_loop().create_connection(protocol, host, port)

        made = self._connections[name] = Connection(display_name(name), connect, lambda: self._key)
        return made
