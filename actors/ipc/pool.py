"""Links between actors: Ray says where an actor is and keeps it running; what flows all the time goes straight to it.

A Ray call costs about a millisecond of two cores (ADR 4); a frame on a kept connection a twentieth of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.ipc.connection import Link
from actors.ipc.frames import FrameProtocol
from actors.ipc.server import Answer, FrameServer
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from domain.key_derivation import derive

ADDRESS_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 3.0
ASK_TIMEOUT_S: Final = 30.0


def link_token(master_key: bytes) -> bytes:
    """What actors say to each other first: the ports are open to every program on the machine."""
    return derive(master_key, "actor-links", 32)


class Door:
    """An actor's own server of frames, opened at the first question for its address."""

    def __init__(self, answer: Answer, token: bytes, host: str) -> None:
        self._server = FrameServer(answer, token)
        self._host = host
        self._address: asyncio.Task[tuple[str, int]] | None = None

    async def address(self) -> tuple[str, int]:
        """Host and port."""
        if self._address is None:
            self._address = asyncio.create_task(self._server.listen_on(self._host))
        return await asyncio.shield(self._address)


class Links:
    """One link to each actor that is talked to, by name. A lost one is looked up anew: the actor may have moved."""

    def __init__(self, actors: Actors, token: bytes) -> None:
        self._actors = actors
        self._token = token
        self._links: dict[str, Link] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(self, name: str, kind: int, body: bytes, timeout_s: float = ASK_TIMEOUT_S) -> bytes:
        """See `Link.ask`."""
        return await self._to(name).ask(kind, body, timeout_s)

    def tell(self, name: str, kind: int, body: bytes) -> None:
        """See `Link.tell`."""
        self._to(name).tell(kind, body)

    def forget(self, name: str) -> None:
        """Closes the link to an actor that is not talked to any more; what is under way there fails."""
        if (link := self._links.pop(name, None)) is not None:
            self._closing.add(task := asyncio.create_task(link.close(), name=f"close the link to {name}"))
            task.add_done_callback(self._closing.discard)

    def _to(self, name: str) -> Link:
        if (known := self._links.get(name)) is not None:
            return known

        async def connect(protocol: Callable[[], FrameProtocol]) -> None:
            host, port = await self._actors.ask(name, "address", timeout_s=ADDRESS_TIMEOUT_S)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):  # the machine may have been lost meanwhile
                await asyncio.get_running_loop().create_connection(protocol, host, port)

        made = self._links[name] = Link(options.words_for(name), connect, self._token)
        return made
