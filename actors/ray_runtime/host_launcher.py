"""The supervisor's `Launcher`, on Ray."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors.loops.loop_host import BEAT_S, Order, Standing
from actors.loops.placement import Node, is_place
from actors.ray_runtime import cluster_state
from actors.ray_runtime.calls import Actors
from domain.errors import FeedbackLoopsError, Unavailable

#: What lanes may spend on recording what they have in hand before their process ends.
DRAIN_S: Final = 2.0
ANSWER_S: Final = 5.0


class RayLauncher:
    """Makes places as named actors, or finds them, and calls them."""

    def __init__(self, actors: Actors, create: Callable[[str, str], Any]) -> None:
        """`create` makes the actor of a name on a node, or finds it."""
        self._actors = actors
        self._create = create

    def found(self) -> Iterable[str]:
        return [name for name in cluster_state.actor_names() if is_place(name)]

    def nodes(self) -> list[Node]:
        return [Node(node.id, node.cpus, node.memory_bytes) for node in cluster_state.nodes() if node.is_alive]

    async def start(self, name: str, node: str) -> None:
        try:
            await asyncio.to_thread(self._create, name, node)
        except RayError as exc:
            raise Unavailable(f"Ray does not answer: {exc}") from exc

    async def restart(self, name: str) -> None:
        self._kill(name, no_restart=False)

    async def end(self, name: str) -> None:
        try:
            await self._actors.ask(name, "stop", DRAIN_S, timeout_s=DRAIN_S + 1.0)
        finally:
            self._kill(name, no_restart=True)

    async def standing(self, name: str, order: Order) -> Standing:
        standing: Standing = await self._actors.ask(name, "standing", order, timeout_s=ANSWER_S)
        return standing

    async def outlast(self, name: str, life: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):
            while True:
                await self._actors.ask(name, "beat", life, timeout_s=BEAT_S + ANSWER_S)

    async def take(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        await self._actors.ask(name, "take", order, loop_ids, timeout_s=ANSWER_S)

    async def let_go(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        gone: list[str] = await self._actors.ask(
            name, "let_go", order, loop_ids, drain_s, timeout_s=2 * drain_s + ANSWER_S
        )
        return gone

    def _kill(self, name: str, *, no_restart: bool) -> None:
        with contextlib.suppress(Unavailable, RayError):  # gone already, which is what was wanted
            ray.kill(self._actors.handle(name), no_restart=no_restart)
        self._actors.forget(name)
