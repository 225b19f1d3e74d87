"""Orderly end of the actors, within the time of the gateway's stop."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from actors.actor_names import LEDGER, SUPERVISOR
from actors.delivery.lane import RECORDING_S
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Limit of the whole stop from the first signal on, except the interpreter's own; `serve_supervisor.GATEWAY_STOP_S` is
#: when it is killed.
STOP_S: Final = 9.1
#: Share of that for the ledger, however long the loops take.
LEDGER_STOP_S: Final = 0.35
#: Time for the loops to finish the attempts in flight (until 8.0 s) and to record their outcomes.
LOOPS_STOP_S: Final = 8.0 + RECORDING_S


class ActorStop:
    """The orderly end of the actors: first the loops, as soon as possible, and the ledger last."""

    def __init__(self, actors: ActorClient) -> None:
        self._actors = actors
        self._loops: asyncio.Task[None] | None = None
        self._ends_s = 0.0

    def drain(self) -> None:
        """Stops the loops from starting attempts, and lets them finish those in flight; returns at once."""
        if self._loops is None:
            self._ends_s = asyncio.get_running_loop().time() + STOP_S
            stopping = _stop_actor(self._actors, SUPERVISOR, self._ends_s - LEDGER_STOP_S, LOOPS_STOP_S)
            self._loops = asyncio.create_task(stopping, name="drain")

    async def finish(self) -> None:
        """Returns when the loops have ended and the ledger is closed, `STOP_S` after the first call at the latest."""
        self.drain()
        if self._loops is not None:
            await self._loops
        await _stop_actor(self._actors, LEDGER, self._ends_s)


async def _stop_actor(actors: ActorClient, name: str, ends_s: float, *arguments: float) -> None:
    left_s = max(ends_s - asyncio.get_running_loop().time(), 0.0)
    try:
        await actors.call(name, "stop", *arguments, timeout_s=left_s)
    except FeedbackLoopsError as exc:
        log.warning("an actor did not stop in time", extra={"action": "stop_failed", "actor": name, "error": str(exc)})
