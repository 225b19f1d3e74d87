"""The interface that `api` talks to. Implemented over a socket (`actors.gateway.client`) and in-process (tests)."""

from __future__ import annotations

from typing import Protocol, TypeVar

from actors.commands.command import Command

R = TypeVar("R")


class Client(Protocol):
    """A way to the actors."""

    async def call(self, command: Command[R]) -> R:
        """Carries the command out.

        Raises:
            FeedbackLoopsError: any error of `domain.errors`; `Unavailable` when the actors cannot be reached.
        """
        ...

    async def record_intake(self, entries: list[bytes]) -> None:
        """Hands over at most 256 encoded entries (`actors.commands.intake`); returns when they are in the ledger.

        Sending the same entries again stores nothing twice.

        Raises:
            InvalidInput: nothing was recorded, because one of the entries is broken.
            UnknownIntake: all were recorded but those at the error's positions.
            FeedbackLoopsError: they may or may not be in the ledger; send them again.
        """
        ...
