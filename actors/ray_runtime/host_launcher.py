"""Launcher of loop hosts on Ray."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import ray
from ray.exceptions import RayError

from actors.actor_names import holds_loops
from actors.loops.loop_host import HEARTBEAT_S
from actors.loops.orders import HostStatus, Order
from actors.loops.placement import NodeCapacity
from actors.ray_runtime import cluster_state
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError, Unavailable

REPLY_S: Final = 5.0


class RayHostLauncher:
    """The supervisor's `HostLauncher`: each host is a named actor."""

    def __init__(self, actors: ActorClient, create: Callable[[str, str], Any]) -> None:
        """`create` makes the actor with a name on a node, unless it exists."""
        self._actors = actors
        self._create = create

    def running(self) -> Iterable[str]:
        return filter(holds_loops, cluster_state.actor_names())

    def nodes(self) -> list[NodeCapacity]:
        return [NodeCapacity(node.id, node.cpus, node.memory_bytes) for node in cluster_state.nodes() if node.is_alive]

    async def start(self, name: str, node: str) -> None:
        try:
            await asyncio.to_thread(self._create, name, node)
        except RayError as exc:
            raise Unavailable(f"Ray does not answer: {exc}") from exc

    async def restart(self, name: str) -> None:
        self._kill(name, no_restart=False)

    async def end(self, name: str, drain_s: float) -> None:
        try:
            await self._actors.call(name, "stop", drain_s, timeout_s=drain_s + 1.0)
        finally:
            self._kill(name, no_restart=True)

    async def status(self, name: str, order: Order) -> HostStatus:
        return cast(HostStatus, await self._actors.call(name, "status", order, timeout_s=REPLY_S))

    async def wait_for_end(self, name: str, incarnation: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):
            while True:
                await self._actors.call(name, "heartbeat", incarnation, timeout_s=HEARTBEAT_S + REPLY_S)

    async def assign(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        await self._actors.call(name, "assign", order, loop_ids, timeout_s=REPLY_S)

    async def release(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        timeout_s = 2 * drain_s + REPLY_S
        released: list[str] = await self._actors.call(name, "release", order, loop_ids, drain_s, timeout_s=timeout_s)
        return released

    def _kill(self, name: str, *, no_restart: bool) -> None:
        with contextlib.suppress(Unavailable, RayError):  # already gone
            ray.kill(self._actors.handle(name), no_restart=no_restart)
        self._actors.forget(name)
