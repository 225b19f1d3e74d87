"""All processes that hold loops, for requests to every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.actor_names import holds_loops
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError

#: Seconds beyond the time limit of an attempt in which a process answers.
MARGIN_S: Final = 20.0


class RemoteLoopHosts:
    """`LoopHosts` through Ray."""

    def __init__(
        self, actors: ActorClient, names: Callable[[], Awaitable[list[str]]], delivery_timeout_s: float
    ) -> None:
        """`names`: of all actors that exist."""
        self._actors = actors
        self._names = names
        self._timeout_s = delivery_timeout_s + MARGIN_S

    async def forget_queued(self, loop_ids: Sequence[str]) -> list[str]:
        names = [name for name in await self._names() if holds_loops(name)]
        answered = await asyncio.gather(*(self._ask(name, loop_ids) for name in names))
        return [name for name, has_answered in zip(names, answered, strict=True) if not has_answered]

    async def _ask(self, name: str, loop_ids: Sequence[str]) -> bool:
        try:
            await self._actors.call(name, "forget_queued", list(loop_ids), timeout_s=self._timeout_s)
        except FeedbackLoopsError:
            return False
        return True
