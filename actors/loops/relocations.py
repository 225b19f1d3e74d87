"""Relocations of loops: assigning them to hosts, moving them between hosts, and releasing them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from actors.loops.background_tasks import BackgroundTasks, Work
from actors.loops.host_monitor import HostMonitor
from actors.loops.location_registry import LocationLog
from actors.loops.placement import Move

#: Loops at work that move at the same time, because each move may take as long as a delivery.
DRAINING_AT_ONCE: Final = 16
#: Seconds to record an attempt after its end.
RECORDING_S: Final = 5.0
DELETED_DRAIN_S: Final = 2.0


class Relocations:
    """Carries out the parts of a plan that concern loops, each loop by one task at a time."""

    def __init__(
        self,
        hosts: Mapping[str, HostMonitor],
        locations: LocationLog,
        tasks: BackgroundTasks,
        delivery_timeout_s: float,
        *,
        replan: Callable[[], None],
        on_arrived: Callable[[], None],
    ) -> None:
        """Calls `replan` when there may be something new to plan, and `on_arrived` when loops have stopped moving."""
        self._hosts = hosts
        self._locations = locations
        self._tasks = tasks
        self._drain_s = delivery_timeout_s + RECORDING_S
        self._replan = replan
        self._on_arrived = on_arrived
        self._moving: Counter[str] = Counter()
        self._draining = asyncio.Semaphore(DRAINING_AT_ONCE)

    @property
    def moving(self) -> Collection[str]:
        """Loops that are being relocated."""
        return self._moving

    def assign(self, name: str, loop_ids: Sequence[str]) -> None:
        """Adds loops that no host holds to a host."""
        self._begin(loop_ids, self._assign, name, loop_ids)

    def move(self, move: Move) -> None:
        """Moves resting loops together, and the others one by one, each after its deliveries in progress."""
        self._begin(move.loops, self._move, move)

    def release(self, name: str, loop_ids: Sequence[str]) -> None:
        """Removes loops that a host should not hold."""
        self._begin(loop_ids, self._release, name, loop_ids)

    async def _assign(self, name: str, loop_ids: Sequence[str]) -> None:
        await self._hosts[name].assign(loop_ids)
        self._locations.record(loop_ids, name)

    async def _move(self, move: Move) -> None:
        released = await self._hosts[move.from_name].release(move.loops, 0.0)
        for loop_id in set(move.loops).difference(released):
            self._begin([loop_id], self._move_at_work, loop_id, move)
        await self._assign(move.to_name, released)
        self._replan()  # the host that they left may have more loops to move, or may be empty now

    async def _move_at_work(self, loop_id: str, move: Move) -> None:
        async with self._draining:
            if await self._hosts[move.from_name].release([loop_id], self._drain_s):
                await self._assign(move.to_name, [loop_id])
        self._replan()

    async def _release(self, name: str, loop_ids: Sequence[str]) -> None:
        for loop_id in await self._hosts[name].release(loop_ids, DELETED_DRAIN_S):
            elsewhere = (host.name for host in self._hosts.values() if loop_id in host.loops)
            self._locations.record([loop_id], next(elsewhere, ""))
        self._replan()

    def _begin(self, loop_ids: Sequence[str], work: Work, *args: Any) -> None:
        self._moving.update(loop_ids)
        self._tasks.run(self._exclusively, loop_ids, work, args)

    async def _exclusively(self, loop_ids: Sequence[str], work: Work, args: Sequence[Any]) -> None:
        """Does the work while its loops count as moving, so that no plan touches them."""
        try:
            await work(*args)
        except BaseException:
            self._replan()
            raise
        finally:
            self._moving -= Counter(loop_ids)
            self._on_arrived()
