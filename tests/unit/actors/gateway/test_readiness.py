"""Readiness of the actors that all loops share."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from actors.actor_names import LEDGER, SUPERVISOR
from actors.gateway.readiness import ReadinessCheck
from actors.ray_runtime.calls import ActorClient
from domain.errors import InternalError, Unavailable


class FakeActors:
    """Fake client that answers pings except to actors that are away, and records the calls."""

    def __init__(self, **away: Exception) -> None:
        self._away = away
        self.asked: list[str] = []

    async def call(self, name: str, method: str, *, timeout_s: float) -> None:
        assert method == "ping"
        self.asked.append(name)
        if name in self._away:
            raise self._away[name]


def check(actors: FakeActors, rollout_problem: str | None = None) -> list[str]:
    client = cast(ActorClient, cast(Any, actors))
    readiness = ReadinessCheck(client, ["enricher/0", "enricher/1"], lambda: rollout_problem)
    return list(map(str, asyncio.run(readiness.problems())))


def test_readiness_covers_the_shared_actors() -> None:
    """The ledger, the supervisor and the enrichers are pinged but no loop, because a restarting loop is no outage."""
    actors = FakeActors()

    assert check(actors) == []
    assert actors.asked == [LEDGER, SUPERVISOR, "enricher/0", "enricher/1"]


def test_every_problem_is_reported() -> None:
    """Actors that are away and actors that failed are listed together."""
    away = {"ledger": Unavailable("the ledger is away"), "enricher/1": InternalError("enricher 1 failed")}

    assert check(FakeActors(**away)) == ["the ledger is away", "enricher 1 failed"]


def test_actors_that_are_being_replaced_are_a_problem() -> None:
    """A front end is ready again when its rollout is complete, so that the next one can be restarted."""
    assert check(FakeActors(), "being replaced") == ["being replaced"]
