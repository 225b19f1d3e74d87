"""Finding, starting and ending the loops' actors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from actors import options
from actors.ray_calls import Actors
from domain.errors import InternalError, Unavailable

#: What a lane may spend on recording what it has in hand before its process ends.
DRAIN_S: Final = 2.0
START_TIMEOUT_S: Final = 30.0


async def actor_names() -> list[str]:
    """Names of all actors of this installation that run, or are being restarted.

    Raises:
        Unavailable: Ray does not say.
    """
    try:
        found = await asyncio.to_thread(list_named_actors, all_namespaces=True)
    except RayError as exc:
        raise Unavailable("Ray does not say which actors there are") from exc
    return [entry["name"] for entry in found if entry["namespace"] == options.NAMESPACE]


async def node_counts() -> dict[str, int]:
    """How many nodes of Ray are `alive`, and how many `dead`.

    Raises:
        Unavailable: Ray does not say.
    """
    try:
        nodes = await asyncio.to_thread(ray.nodes)
    except RayError as exc:
        raise Unavailable("Ray does not say which nodes there are") from exc
    alive = sum(bool(node["Alive"]) for node in nodes)
    return {"alive": alive, "dead": len(nodes) - alive}


class RayLauncher:
    """The supervisor's `Launcher`, on Ray. `create` makes the loop's actor, or finds it."""

    def __init__(self, actors: Actors, create: Callable[[str], Any]) -> None:
        self._actors = actors
        self._create = create

    def running(self) -> Iterable[str]:
        prefix = options.loop_name("")
        names = (entry["name"] for entry in list_named_actors(all_namespaces=True))
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    async def start(self, loop_id: str) -> None:
        await asyncio.to_thread(self._create, loop_id)
        await self._actors.ask(options.loop_name(loop_id), "ping", timeout_s=START_TIMEOUT_S)

    async def stop(self, loop_id: str) -> None:
        name = options.loop_name(loop_id)
        try:
            await self._actors.ask(name, "stop", DRAIN_S, timeout_s=DRAIN_S + 1.0)
        finally:
            self._kill(name)

    def _kill(self, name: str) -> None:
        with contextlib.suppress(Unavailable, RayError):  # gone already, which is what was wanted
            ray.kill(self._actors.handle(name), no_restart=True)
        self._actors.forget(name)


class LoopDirectory:
    """The service's `Loops`: asks a loop's actor, by way of the supervisor when it does not run."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._starting: set[asyncio.Task[None]] = set()

    async def ask(self, loop_id: str, method: str, *args: Any) -> Any:
        name = options.loop_name(loop_id)
        try:
            self._actors.handle(name)
        except Unavailable:
            await self._ensure(loop_id)
        return await self._actors.ask(name, method, *args, timeout_s=60.0)

    async def begin(self, loop_id: str) -> None:
        task = asyncio.create_task(self._begin(loop_id))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, loop_id: str) -> None:
        with contextlib.suppress(Unavailable, InternalError):  # the supervisor's next round starts it
            await self._ensure(loop_id)

    async def _ensure(self, loop_id: str) -> None:
        await self._actors.ask(options.SUPERVISOR, "ensure", loop_id, timeout_s=START_TIMEOUT_S)

    async def release(self, loop_id: str) -> None:
        with contextlib.suppress(Unavailable, InternalError):  # the supervisor's next round ends it
            await self._actors.ask(options.SUPERVISOR, "release", loop_id)
