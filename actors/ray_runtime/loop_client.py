"""Client for the commands of loops: finds the process that holds a loop, and calls it there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, TypeVar, cast

from actors.actor_names import SUPERVISOR
from actors.commands.command import Command
from actors.loops.location_registry import LocationRegistry
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError, Moved, Unavailable

R = TypeVar("R")

LOCATE_S: Final = 30.0
COMMAND_S: Final = 60.0
#: The supervisor notices within some such periods that a process has ended, and moves its loops.
NOTICED_S: Final = 0.5
#: Maximum attempts to reach a loop, which may move while it is being located.
TRIES: Final = 5


class RemoteLoopClient:
    """Calls a loop where the registry says it is, and asks the supervisor if it is not there."""

    def __init__(self, actors: ActorClient, locations: LocationRegistry) -> None:
        self._actors = actors
        self._locations = locations
        self._starting: set[asyncio.Task[None]] = set()

    async def call(self, loop_id: str, command: Command[R]) -> R:
        name = self._locations.get(loop_id)
        ends_at = asyncio.get_running_loop().time() + COMMAND_S
        for attempt in range(1, TRIES + 1):
            is_current = name is None
            name = name or await self._locate(loop_id)
            try:
                return cast(R, await self._actors.call(name, "call", loop_id, command, timeout_s=COMMAND_S))
            except Unavailable as exc:
                may_repeat = command.is_idempotent and asyncio.get_running_loop().time() < ends_at
                if exc.may_have_run and not may_repeat:
                    raise
                # Where nothing was done, the registry may just have been behind the supervisor.
                if attempt < TRIES and (exc.may_have_run or is_current):
                    await asyncio.sleep(attempt * NOTICED_S)
                name = None
        raise Moved(f"feedback loop {loop_id} is being moved; try again shortly")

    async def begin(self, loop_id: str) -> None:
        task = asyncio.create_task(self._begin(loop_id))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, loop_id: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):  # the supervisor's next refresh finds it in the ledger
            await self._locate(loop_id)

    async def release(self, loop_id: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):  # the next refresh notices that it was deleted
            await self._actors.call(SUPERVISOR, "remove", loop_id)

    async def _locate(self, loop_id: str) -> str:
        return cast(str, await self._actors.call(SUPERVISOR, "locate", loop_id, timeout_s=LOCATE_S))
