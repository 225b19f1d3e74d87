"""The supervisor's `Launcher`, on Ray."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from actors import options
from actors.loops.host import BEAT_S, Order, Standing
from actors.loops.placement import Node, is_place
from actors.metrics import census
from actors.ray_calls import Actors
from domain.errors import FeedbackLoopsError, Unavailable

#: What lanes may spend on recording what they have in hand before their process ends.
DRAIN_S: Final = 2.0
ANSWER_S: Final = 5.0


async def actor_names() -> list[str]:
    """Names of all actors of this installation that run, or are being restarted.

    Raises:
        Unavailable: Ray does not say.
    """
    with _translated():
        found = await asyncio.to_thread(list_named_actors, all_namespaces=True)
    return [entry["name"] for entry in found if entry["namespace"] == options.NAMESPACE]


async def nodes() -> list[census.Node]:
    """Every node that Ray knows, also those that have gone.

    Raises:
        Unavailable: Ray does not say.
    """
    with _translated():
        found = await asyncio.to_thread(ray.nodes)
    return [
        census.Node(
            id=node["NodeID"],
            is_alive=bool(node["Alive"]),
            cpus=int(node["Resources"].get("CPU", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in found
    ]


class RayLauncher:
    """Makes places as named actors, or finds them, and calls them."""

    def __init__(self, actors: Actors, create: Callable[[str, str], Any]) -> None:
        """`create` makes the actor of a name on a node, or finds it."""
        self._actors = actors
        self._create = create

    def found(self) -> Iterable[str]:
        with _translated():
            names = (entry["name"] for entry in list_named_actors(all_namespaces=True))
            return [name for name in names if is_place(name)]

    def nodes(self) -> list[Node]:
        with _translated():
            alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        return [
            Node(node["NodeID"], int(node["Resources"].get("CPU", 0)), float(node["Resources"].get("memory", 0)))
            for node in alive
        ]

    async def start(self, name: str, node: str) -> None:
        with _translated():
            await asyncio.to_thread(self._create, name, node)

    async def restart(self, name: str) -> None:
        self._kill(name, no_restart=False)

    async def end(self, name: str) -> None:
        try:
            await self._actors.ask(name, "stop", DRAIN_S, timeout_s=DRAIN_S + 1.0)
        finally:
            self._kill(name, no_restart=True)

    async def standing(self, name: str, order: Order) -> Standing:
        return Standing(*await self._actors.ask(name, "standing", order, timeout_s=ANSWER_S))

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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RayError as exc:
        raise Unavailable(f"Ray does not answer: {exc}") from exc
