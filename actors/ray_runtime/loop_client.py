"""The way to the loops for those who have commands for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from actors.loops.location_registry import Places
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from domain.errors import FeedbackLoopsError, Moved, Unavailable

LOCATE_S: Final = 30.0
COMMAND_S: Final = 60.0
#: A loop may move while it is being looked for, but not for ever.
TRIES: Final = 5


class LoopDirectory:
    """The service's `Loops`: asks a loop where it is known to be, and the supervisor when it is not there."""

    def __init__(self, actors: Actors, places: Places) -> None:
        self._actors = actors
        self._places = places
        self._placing: set[asyncio.Task[None]] = set()

    async def ask(self, loop_id: str, command: str, *args: Any) -> Any:
        name = self._places.get(loop_id)
        for _ in range(TRIES):
            name = name or await self._locate(loop_id)
            try:
                return await self._actors.ask(name, "ask", loop_id, command, args, timeout_s=COMMAND_S)
            except Unavailable as exc:
                if exc.may_have_run:
                    raise
                name = None
        raise Moved(f"feedback loop {loop_id} is on the move; try again shortly")

    async def begin(self, loop_id: str) -> None:
        task = asyncio.create_task(self._begin(loop_id))
        self._placing.add(task)
        task.add_done_callback(self._placing.discard)

    async def _begin(self, loop_id: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):  # the supervisor's next look at the ledger finds it
            await self._locate(loop_id)

    async def release(self, loop_id: str) -> None:
        with contextlib.suppress(FeedbackLoopsError):  # likewise
            await self._actors.ask(options.SUPERVISOR, "release", loop_id)

    async def _locate(self, loop_id: str) -> str:
        name: str = await self._actors.ask(options.SUPERVISOR, "locate", loop_id, timeout_s=LOCATE_S)
        return name
