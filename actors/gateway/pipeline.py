"""The gateway's way for hits: spreads batches over the enrichment actors, and tells whether the service is ready."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from actors.commands.protocol import Kind
from actors.ipc.pool import Links
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from domain.errors import FeedbackLoopsError

READY_TIMEOUT_S: Final = 2.0


class Pipeline:
    """Hands each batch to one enricher, in turn. A batch that fails is the front end's to send again.

    Args:
        renewal: why the actors are not yet as they should be; None when they are.
    """

    def __init__(self, actors: Actors, links: Links, enrichers: int, renewal: Callable[[], str | None]) -> None:
        self._renewal = renewal
        self._actors = actors
        self._links = links
        self._names = [options.enricher_name(n) for n in range(enrichers)]
        self._turn = itertools.cycle(self._names)

    async def record_intake(self, body: bytes) -> None:
        """Returns when the entries of an `INTAKE` body are in the ledger."""
        await self._links.ask(next(self._turn), Kind.INTAKE, body)

    async def problems(self) -> list[str]:
        """What keeps the service from carrying a hit to a handler now; empty when nothing does."""
        names = [options.LEDGER, options.SUPERVISOR, *self._names]
        answers = await asyncio.gather(*map(self._problem_with, names))
        return [problem for problem in [*answers, self._renewal()] if problem]

    async def _problem_with(self, name: str) -> str | None:
        try:
            await self._actors.ask(name, "ping", timeout_s=READY_TIMEOUT_S)
        except FeedbackLoopsError as exc:
            return str(exc)
        return None
