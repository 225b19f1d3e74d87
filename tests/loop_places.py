"""A cluster in one process: real hosts of loops, whose cores are counted, under a launcher that fails as it is told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from actors.adapters.clock import SystemClock
from actors.ledger.port import LedgerReader
from actors.loops.loop_host import LoopHost, Order, Standing
from actors.loops.placement import Node
from actors.ports import HttpClient
from domain.delivery import OfferedDelivery
from domain.errors import Unavailable
from tests.fakes import ScriptedHttpClient

NODES = [Node("node-1", 2, 16e9)]


class LoopsReader:
    """Knows which loops there are, and which of them are due."""

    def __init__(self, *loops: str) -> None:
        self.loops = list(loops)
        self.due: list[str] = []

    def running_loops(self) -> list[str]:
        return list(self.loops)

    def loops_due(self, _now_ms: int) -> list[str]:
        return list(self.due)


def as_reader(reader: LoopsReader) -> LedgerReader:
    return cast(LedgerReader, cast(Any, reader))


class CountedCore:
    """A core that delivers nothing, and says when two are awake for one loop."""

    #: How many are awake, by loop.
    alive: ClassVar[Counter[str]] = Counter()
    #: Loops that were awake in two processes at the same time.
    doubles: ClassVar[list[str]] = []
    #: Loops that have something under way, which ends when the event is set.
    working: ClassVar[dict[str, asyncio.Event]] = {}

    def __init__(self, loop_id: str) -> None:
        self.loop_id = loop_id
        self.offers: list[OfferedDelivery] = []
        self.nudges = 0
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

    async def secret(self) -> str:
        return f"the secret of {self.loop_id}"


class Process:
    """A host, and its end."""

    def __init__(self, reader: LoopsReader, life: str, node: str) -> None:
        self.cores: list[CountedCore] = []
        self.ended = asyncio.Event()
        self.host = LoopHost(
            life=life,
            node=node,
            make_core=self._make_core,
            reader=as_reader(reader),
            http_client=cast(HttpClient, ScriptedHttpClient()),
            clock=SystemClock(),
        )
        self.host.start()

    def _make_core(self, loop_id: str) -> CountedCore:
        self.cores.append(CountedCore(loop_id))
        return self.cores[-1]

    async def kill(self) -> None:
        """As `kill -9`: nothing of it is left."""
        for core in self.cores:
            core.is_killed = True
            core.die()
        self.ended.set()
        await self.host.stop(0.1)


class Cluster:
    """A `Launcher` whose places are in this process."""

    def __init__(self, reader: LoopsReader) -> None:
        self.reader = reader
        self.up: dict[str, Process] = {}
        self.machines = list(NODES)
        #: Names of places that do not answer.
        self.hung: set[str] = set()
        #: Places start when it is set.
        self.gate = asyncio.Event()
        self.gate.set()
        self.started: list[str] = []
        self.restarted: list[str] = []
        #: The chance that an order is lost, or its answer.
        self.losses = 0.0
        self.rng = random.Random(1)
        self._lives = 0

    def _process(self, node: str = "node-1") -> Process:
        self._lives += 1
        return Process(self.reader, f"life {self._lives}", node or self.machines[0].id)

    def found(self) -> list[str]:
        return list(self.up)

    def nodes(self) -> list[Node]:
        return list(self.machines)

    async def start(self, name: str, node: str) -> None:
        self.started.append(name)
        await self.gate.wait()
        if name not in self.up:
            self.up[name] = self._process(node)

    async def kill(self, name: str) -> None:
        """`kill -9`, and Ray starts it anew."""
        before, self.up[name] = self.up[name], self._process()
        await before.kill()

    async def restart(self, name: str) -> None:
        self.restarted.append(name)
        self.hung.discard(name)
        await self.kill(name)

    async def end(self, name: str) -> None:
        await self.up.pop(name).kill()

    async def standing(self, name: str, order: Order) -> Standing:
        return (await self._reach(name)).standing(order)

    async def outlast(self, name: str, life: str) -> None:
        if name in self.up:
            await self.up[name].ended.wait()

    async def take(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        host = await self._reach(name)
        await host.take(order, loop_ids)
        self._maybe_lose()

    async def let_go(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        host = await self._reach(name)
        gone = await host.let_go(order, loop_ids, drain_s)
        self._maybe_lose()
        return gone

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
        """The loops of each place that holds some."""
        found = {name: process.host.standing(process.host._last_order).loops for name, process in self.up.items()}
        return {name: loops for name, loops in sorted(found.items()) if loops}

    def held_once(self) -> list[str]:
        """All loops that are held, sorted; one that is held twice is there twice."""
        return sorted(loop_id for loops in self.held().values() for loop_id in loops)

    async def close(self) -> None:
        """Ends all of it."""
        for process in self.up.values():
            await process.kill()
