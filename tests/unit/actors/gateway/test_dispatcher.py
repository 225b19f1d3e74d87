"""Readiness, as the gateway knows it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from actors.gateway.pipeline import Pipeline
from actors.ipc.pool import Links
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from domain.errors import InternalError, Unavailable


class FakeActors:
    """Answers pings, but for those of the actors that are away, and notes who was asked."""

    def __init__(self, **away: Exception) -> None:
        self._away = away
        self.asked: list[str] = []

    async def ask(self, name: str, method: str, *, timeout_s: float) -> None:
        assert method == "ping"
        self.asked.append(name)
        if name in self._away:
            raise self._away[name]


def pipeline(actors: FakeActors, renewal: str | None = None) -> Pipeline:
    return Pipeline(cast(Actors, cast(Any, actors)), cast(Links, None), enrichers=2, renewal=lambda: renewal)


def test_readiness_is_about_what_all_loops_share() -> None:
    """The ledger, the supervisor and the enrichers are asked, and no loop: one loop's restart is no outage."""
    actors = FakeActors()

    assert asyncio.run(pipeline(actors).problems()) == []
    assert actors.asked == [options.LEDGER, options.SUPERVISOR, "enricher/0", "enricher/1"]


def test_each_problem_is_told() -> None:
    """What is away and what failed are told together, in the order of the ways that an event goes."""
    away = {"ledger": Unavailable("the ledger is away"), "enricher/1": InternalError("enricher 1 failed")}

    assert asyncio.run(pipeline(FakeActors(**away)).problems()) == ["the ledger is away", "enricher 1 failed"]


def test_actors_that_are_being_replaced_are_a_problem() -> None:
    """A front end is ready again when a renewal that it began is over, so that the next one can be restarted."""
    assert asyncio.run(pipeline(FakeActors(), "being replaced").problems()) == ["being replaced"]
