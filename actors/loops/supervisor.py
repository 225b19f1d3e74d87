"""Supervisor of the loops: decides which process holds each loop, and starts and ends these processes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from actors.actor_names import own_loop
from actors.ledger.reader import LedgerReader
from actors.loops import placement
from actors.loops.background_tasks import BackgroundTasks
from actors.loops.host_fleet import HostFleet
from actors.loops.host_monitor import HostLauncher
from actors.loops.location_registry import Broadcast, LocationLog
from actors.loops.placement import NodeCapacity, Plan
from actors.loops.relocations import Relocations
from actors.metrics import registry
from domain.errors import Unavailable

#: How often the ledger is asked for the loops and Ray for the nodes. Changes are also reported as they happen.
REFRESH_S: Final = 5.0
#: A round looks at every loop, so changes within this time share one.
ROUND_PAUSE_S: Final = 0.1
#: A start costs a core about a second. Loops wait for hosts, but can do without actors of their own, so only one of
#: those starts per refresh: traffic hardly notices.
HOSTS_STARTING_AT_ONCE: Final = 2
LOCATE_S: Final = 25.0
#: How long a suspension lasts: the process that requested it may have died.
SUSPENDED_S: Final = 10.0
#: How long `suspend` waits for moving loops; loops at work may take much longer.
ARRIVING_S: Final = 1.0


class Supervisor:
    """The only authority on which process holds a loop, so that no two deliver its events at the same time.

    It assigns a loop to a process only when no other holds it: the previous holder released it, or died, was restarted
    by Ray and reported that it holds nothing. Everything it knows comes from the processes: a restarted supervisor asks
    all of them, and assigns nothing until every host has answered.
    """

    def __init__(
        self,
        reader: LedgerReader,
        launcher: HostLauncher,
        *,
        incarnation: str,
        budget: int | None,
        delivery_timeout_s: float,
        starts_failed: registry.Counter | None = None,
    ) -> None:
        """Knows nothing until it is started.

        Args:
            reader: lists the loops.
            launcher: starts, ends and calls hosts.
            incarnation: different for each start.
            budget: number of processes that hold loops; None for what the nodes can run.
            delivery_timeout_s: limit of one delivery attempt.
            starts_failed: counts the processes that could not be started.
        """
        self._reader = reader
        self._launcher = launcher
        self._budget = budget
        self._may_start_own = False
        #: Oldest first.
        self._loops: dict[str, None] = {}
        #: Loops that were located while the ledger is being read.
        self._new_loops: set[str] = set()
        self._nodes: list[NodeCapacity] = []
        self._suspended_until_s = 0.0
        #: Set when there may be something to plan.
        self._replan = asyncio.Event()
        #: Wakes the tasks that wait for a loop or a host.
        self._change = Broadcast()
        self._tasks = BackgroundTasks()
        self.locations = LocationLog(incarnation)
        self._hosts = HostFleet(
            launcher, incarnation, self.locations, self._changed, starts_failed or registry.Counter()
        )
        self._relocations = Relocations(
            self._hosts.monitors,
            self.locations,
            self._tasks,
            delivery_timeout_s,
            replan=self._replan.set,
            on_arrived=self._change.notify,
        )

    # --- life

    def start(self) -> None:
        """Starts to place loops, in the background."""
        self._tasks.repeat(self._refresh, REFRESH_S)
        self._tasks.repeat(self._round, ROUND_PAUSE_S)

    async def suspend(self) -> None:
        """Moves no loop for a while, and returns when all or most of the moving loops have arrived.

        Call it before ending the process: a loop that no process holds waits until the next supervisor has found all
        hosts.
        """
        self._suspended_until_s = asyncio.get_running_loop().time() + SUSPENDED_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVING_S):
                while self._relocations.moving:
                    await self._change.wait()

    @property
    def _is_suspended(self) -> bool:
        return asyncio.get_running_loop().time() < self._suspended_until_s

    async def stop(self, drain_s: float) -> None:
        """Ends every host, each after it has finished and recorded its deliveries in flight, within about `drain_s`.

        Starts none again.
        """
        self._tasks.cancel()
        await self._hosts.end_all(drain_s)

    # --- requests

    async def locate(self, loop_id: str) -> str:
        """Name of the process that holds the loop, as soon as one does.

        Raises:
            Unavailable: none does within `LOCATE_S`.
        """
        try:
            async with asyncio.timeout(LOCATE_S):
                return await self._locate(loop_id)
        except TimeoutError:
            raise Unavailable(f"feedback loop {loop_id} is being started; try again shortly") from None

    async def _locate(self, loop_id: str) -> str:
        if loop_id not in self._loops:
            self._loops[loop_id] = None
            self._new_loops.add(loop_id)
            self._place_at_once(loop_id)
        while (name := self.locations.get(loop_id)) is None or not self._is_served(loop_id, name):
            await self._change.wait()
        return name

    async def remove(self, loop_id: str) -> None:
        """Releases a loop that was deleted."""
        self._loops.pop(loop_id, None)
        self._new_loops.discard(loop_id)
        self._replan.set()

    async def replace(self, name: str) -> None:
        """Ends a host after its loops have recorded their finished deliveries; they are placed again at once.

        For a shared host, it returns when as many hosts are up as before, or after `LOCATE_S`. So when the caller ends
        the next host, that host's loops find another one that is up.
        """
        if name not in self._hosts.monitors:  # this supervisor has just started
            await self._hosts.find()
        before = self._hosts.shared_up
        if (monitor := self._hosts.prepare_end(name)) is None:
            return
        await self._hosts.end(monitor)
        if monitor.slot.is_host:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOCATE_S):
                    while self._hosts.shared_up < before:
                        await self._change.wait()

    def _is_served(self, loop_id: str, name: str) -> bool:
        return self._hosts.is_up(name) and loop_id not in self._relocations.moving

    def _place_at_once(self, loop_id: str) -> None:
        """Assigns a new loop without a plan. It needs a plan only if it may get its own actor."""
        is_suspended = self._is_suspended
        name = None if is_suspended or self._hosts.is_recovering else placement.least_loaded(self._hosts.slots())
        if name is not None:
            self._relocations.assign(name, [loop_id])
        if is_suspended or len(self._hosts) < self._budget_now:
            self._replan.set()

    @property
    def _budget_now(self) -> int:
        return placement.budget_of(self._nodes) if self._budget is None else self._budget

    def _changed(self) -> None:
        self._replan.set()
        self._change.notify()

    # --- rounds

    async def _refresh(self) -> None:
        self._new_loops.clear()
        self._nodes = await asyncio.to_thread(self._launcher.nodes)
        loops = await asyncio.to_thread(self._reader.running_loops)
        self._loops = dict.fromkeys([*loops, *(loop_id for loop_id in self._loops if loop_id in self._new_loops)])
        await self._hosts.find()
        self._may_start_own = True
        self._replan.set()

    async def _round(self) -> None:
        await self._replan.wait()
        if self._is_suspended:
            return
        self._replan.clear()
        if not self._nodes or self._hosts.is_recovering:
            return
        self.locations.publish()
        loops, moving = list(self._loops), self._relocations.moving
        self._carry_out(placement.decide(loops, self._hosts.slots(), self._nodes, self._budget_now, moving))

    def _carry_out(self, plan: Plan) -> None:
        starting = self._hosts.starting
        for name, node in plan.start:
            if own_loop(name) is None:
                may_start = starting < HOSTS_STARTING_AT_ONCE
            else:
                may_start, self._may_start_own = self._may_start_own and not starting, False
            if not may_start:
                break
            starting += 1
            self._tasks.run(self._hosts.start, self._hosts.prepare_start(name), node)
        for name, loop_ids in plan.assign.items():
            self._relocations.assign(name, loop_ids)
        for move in plan.move:
            self._relocations.move(move)
        for name, loop_ids in plan.release.items():
            self._relocations.release(name, loop_ids)
        for name in plan.end:
            if (monitor := self._hosts.prepare_end(name)) is not None:
                self._tasks.run(self._hosts.end, monitor)
