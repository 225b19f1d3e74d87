"""The interface that `api` talks to. Implemented over a socket (`actors.gateway.client`) and in-process (tests)."""

from __future__ import annotations

from typing import Protocol, TypeVar

from actors.commands import Command

R = TypeVar("R")


class Client(Protocol):
    """A way to the actors."""

    async def call(self, command: Command[R]) -> R:
        """Carries the command out.

        Raises:
            FeedbackLoopsError: any error of `domain.errors`; `Unavailable` when the actors cannot be reached.
        """
        ...

    async def record_hits(self, hits: list[bytes]) -> None:
        """Hands over hits (each a MessagePack `TrackingHit`) and returns when they are in the ledger.

        At most 256 hits a call. Sending the same hits again stores nothing twice.

        Raises:
            FeedbackLoopsError: they may or may not be in the ledger; send them again.
        """
        ...
