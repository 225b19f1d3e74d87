"""Who answers while there is no gateway yet, with what it is that is waited for."""

from __future__ import annotations

from actors.ipc.server import Answer
from domain.errors import Unavailable


class Reception:
    """An `Answer` of a `FrameServer` that fails, saying why, until it is opened."""

    def __init__(self, waiting_for: str) -> None:
        self._waiting_for = waiting_for
        self._gateway: Answer | None = None

    def say(self, waiting_for: str) -> None:
        """What is waited for now, for people."""
        self._waiting_for = waiting_for

    def open(self, gateway: Answer) -> None:
        """From now on this one answers."""
        self._gateway = gateway

    async def answer(self, kind: int, body: bytes) -> bytes:
        """See `frame_server.Answer`."""
        if self._gateway is None:
            raise Unavailable(self._waiting_for)
        return await self._gateway(kind, body)
