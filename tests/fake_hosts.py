"""Fake cluster in one process: real loop hosts with counted runtimes, and a launcher that fails on request."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from actors.adapters.clock import SystemClock
from actors.commands.command import Command
from actors.ledger.reader import LedgerReader
from actors.loops.loop_host import LoopHost
from actors.loops.orders import HostStatus, Order
from actors.loops.placement import NodeCapacity
from actors.ports import HttpClient
from domain.delivery import OfferedDelivery
from domain.errors import Unavailable
from tests.fakes import ScriptedHttpClient

NODES = [NodeCapacity("node-1", 2, 16e9)]


class LoopsReader:
    """Fake reader that lists all loops, those that are due, and those with failed deliveries."""

    def __init__(self, *loops: str) -> None:
        self.loops = list(loops)
        self.due: list[str] = []
        self.failing: list[str] = []

    def running_loops(self) -> list[str]:
        return list(self.loops)

    def loops_due(self, _now_ms: int) -> list[str]:
        return list(self.due)

    def loops_failing(self) -> list[str]:
        return list(self.failing)


def as_reader(reader: LoopsReader) -> LedgerReader:
    return cast(LedgerReader, cast(Any, reader))


class CountedRuntime:
    """Fake runtime that delivers nothing, and records when two are awake for one loop."""

    #: Number of awake runtimes, by loop.
    alive: ClassVar[Counter[str]] = Counter()
    #: Loops that were awake in two processes at the same time.
    doubles: ClassVar[list[str]] = []
    #: Loops at work; their work ends when the event is set.
    working: ClassVar[dict[str, asyncio.Event]] = {}

    def __init__(self, loop_id: str) -> None:
        self.loop_id = loop_id
        self.offers: list[OfferedDelivery] = []
        self.nudges = 0
        self.forgotten = 0
        self.is_alive = False
        self.is_killed = False

    @classmethod
    def reset(cls) -> None:
        cls.alive.clear()
        cls.doubles.clear()
        cls.working.clear()

    @property
    def is_idle(self) -> bool:
        return self.loop_id not in self.working

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self.is_killed:
            return
        self.is_alive = True
        self.alive[self.loop_id] += 1
        if self.alive[self.loop_id] > 1:
            self.doubles.append(self.loop_id)

    async def stop(self, drain_s: float) -> None:
        if (event := self.working.get(self.loop_id)) is not None:
            await asyncio.wait_for(event.wait(), drain_s)
        self.die()

    def die(self) -> None:
        if self.is_alive:
            self.is_alive = False
            self.alive[self.loop_id] -= 1

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        self.offers += deliveries

    def nudge(self) -> None:
        self.nudges += 1

    async def forget_queued(self) -> None:
        self.forgotten += 1

    async def handle(self, _command: Command[Any]) -> Any:
        return f"the secret of {self.loop_id}"


class FakeProcess:
    """A loop host, and the end of its process."""

    def __init__(self, reader: LoopsReader, incarnation: str, node: str) -> None:
        self.runtimes: list[CountedRuntime] = []
        self.ended = asyncio.Event()
        self.host = LoopHost(
            incarnation=incarnation,
            node=node,
            make_runtime=self._make_runtime,
            reader=as_reader(reader),
            http_client=cast(HttpClient, ScriptedHttpClient()),
            clock=SystemClock(),
        )
        self.host.start()

    def _make_runtime(self, loop_id: str) -> CountedRuntime:
        self.runtimes.append(CountedRuntime(loop_id))
        return self.runtimes[-1]

    async def kill(self) -> None:
        """Ends everything at once, as `kill -9` does."""
        for runtime in self.runtimes:
            runtime.is_killed = True
            runtime.die()
        self.ended.set()
        await self.host.stop(0.1)


class FakeCluster:
    """A `HostLauncher` whose hosts run in this process."""

    def __init__(self, reader: LoopsReader) -> None:
        self.reader = reader
        self.up: dict[str, FakeProcess] = {}
        self.machines = list(NODES)
        #: Names of hosts that do not answer.
        self.hung: set[str] = set()
        #: Hosts start when it is set.
        self.gate = asyncio.Event()
        self.gate.set()
        self.started: list[str] = []
        self.restarted: list[str] = []
        #: Probability that an order or its answer is lost.
        self.losses = 0.0
        self.rng = random.Random(1)
        self._incarnations = 0

    def _process(self, node: str = "node-1") -> FakeProcess:
        self._incarnations += 1
        return FakeProcess(self.reader, f"incarnation {self._incarnations}", node or self.machines[0].id)

    def running(self) -> list[str]:
        return list(self.up)

    def nodes(self) -> list[NodeCapacity]:
        return list(self.machines)

    async def start(self, name: str, node: str) -> None:
        self.started.append(name)
        await self.gate.wait()
        if name not in self.up:
            self.up[name] = self._process(node)

    async def kill(self, name: str) -> None:
        """Kills the process, which Ray restarts."""
        before, self.up[name] = self.up[name], self._process()
        await before.kill()

    async def restart(self, name: str) -> None:
        self.restarted.append(name)
        self.hung.discard(name)
        await self.kill(name)

    async def end(self, name: str, drain_s: float) -> None:
        await self.up.pop(name).kill()

    async def status(self, name: str, order: Order) -> HostStatus:
        return (await self._reach(name)).status(order)

    async def wait_for_end(self, name: str, incarnation: str) -> None:
        if name in self.up:
            await self.up[name].ended.wait()

    async def assign(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        host = await self._reach(name)
        await host.assign(order, loop_ids)
        self._maybe_lose()

    async def release(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        host = await self._reach(name)
        released = await host.release(order, loop_ids, drain_s)
        self._maybe_lose()
        return released

    async def _reach(self, name: str) -> LoopHost:
        await asyncio.sleep(0)
        if name not in self.up or name in self.hung:
            raise Unavailable(f"{name} does not answer")
        self._maybe_lose()
        return self.up[name].host

    def _maybe_lose(self) -> None:
        if self.rng.random() < self.losses:
            raise Unavailable("lost", True)

    def held(self) -> dict[str, list[str]]:
        """Loops by the host that holds them; empty hosts are left out."""
        found = {name: process.host.status(process.host._last_order).loops for name, process in self.up.items()}
        return {name: loops for name, loops in sorted(found.items()) if loops}

    def held_once(self) -> list[str]:
        """All held loops, sorted; a loop that two hosts hold is listed twice."""
        return sorted(loop_id for loops in self.held().values() for loop_id in loops)

    async def close(self) -> None:
        """Ends all processes."""
        for process in self.up.values():
            await process.kill()
