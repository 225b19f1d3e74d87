"""Readiness of the actors that all loops share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from actors.actor_names import LEDGER, SUPERVISOR
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError, Unavailable

TIMEOUT_S: Final = 2.0


class ReadinessCheck:
    """Pings the ledger, the supervisor and the enrichers, but no loop: the restart of one loop is no outage."""

    def __init__(
        self, actors: ActorClient, enrichers: Sequence[str], rollout_problem: Callable[[], str | None]
    ) -> None:
        """`rollout_problem`: why the actors are not all replaced yet; None when they are."""
        self._actors = actors
        self._names = [LEDGER, SUPERVISOR, *enrichers]
        self._rollout_problem = rollout_problem

    async def problems(self) -> list[FeedbackLoopsError]:
        """The reasons why the service cannot bring a hit to a handler now; empty when it can."""
        answers = await asyncio.gather(*map(self._problem_with, self._names))
        rollout = self._rollout_problem()
        return [problem for problem in answers if problem] + ([Unavailable(rollout)] if rollout else [])

    async def _problem_with(self, name: str) -> FeedbackLoopsError | None:
        try:
            await self._actors.call(name, "ping", timeout_s=TIMEOUT_S)
        except FeedbackLoopsError as exc:
            return exc
        return None
