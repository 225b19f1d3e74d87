"""Asking every actor for its figures: in parallel, within a bound of time, and not more often than makes sense."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec.structs import replace

from actors.metrics import catalogue as m
from actors.metrics.accumulator import Totals, fitting, merged_gauges
from actors.metrics.cluster_inventory import Census, Node, taken
from actors.metrics.process_metrics import STARTED_MS, process_readings
from actors.metrics.registry import Tallies
from actors.metrics.snapshots import Number, ProcessReadings, Readings
from actors.version import PROGRAM
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds that an actor has to answer; a scrape of Prometheus waits for ten.
ANSWER_S: Final = 1.0
#: Actors that are asked at the same time.
AT_ONCE: Final = 32
#: Seconds for all of them, however many there are.
ROUND_S: Final = 4.0
#: Who asks sooner than this after the last answer gets that one: anybody may ask, and it costs all actors something.
FRESH_S: Final = 1.0


class Actors(Protocol):
    """The way to the actors."""

    async def ask(self, name: str, method: str, *args: Any, timeout_s: float) -> Any:
        """Gives the method's value. Raises FeedbackLoopsError."""
        ...


class Gathering:
    """The figures of the whole service behind the front end, this process's own included.

    Counters never fall while this process lives (`Totals`). An actor that does not answer in time is counted as silent;
    its counters stand still, its gauges are left out. So is one of another version whose answer cannot be read; of
    one that can, what is not in the catalogue is left out.
    """

    def __init__(
        self,
        actors: Actors,
        names: Callable[[], Awaitable[Sequence[str]]],
        nodes: Callable[[], Awaitable[Sequence[Node]]],
        loops: Callable[[], Mapping[str, int]] = dict,
        monotonic_s: Callable[[], float] = time.monotonic,
        since_ms: int = STARTED_MS,
    ) -> None:
        """`names`: of the actors that should answer. `nodes`: Ray's. `loops`: how many the actor of a name holds."""
        self._actors = actors
        self._names = names
        self._nodes = nodes
        self._loops = loops
        self._census = Census(nodes=[], processes=[], of_processes=0)
        self._monotonic_s = monotonic_s
        self._tallies = Tallies()
        self._totals = Totals(since_ms)
        self._restarts = {kind: self._tallies.cell(m.RESTARTS, kind) for kind in m.ACTORS}
        self._took = self._tallies.cell(m.GATHER)
        self._round: asyncio.Task[Readings] | None = None
        self._asked_s = float("-inf")

    async def readings(self) -> Readings:
        """All figures. Those who ask while others wait, or right after them, get the same answer."""
        is_over = self._round is None or self._round.done()
        if self._round is None or (is_over and self._monotonic_s() - self._asked_s >= FRESH_S):
            self._round = asyncio.create_task(self._gather(), name="gather figures")
        return await asyncio.shield(self._round)

    async def census(self) -> Census:
        """Who is there, as it was when the figures were gathered, or now."""
        await self.readings()
        return self._census

    async def _gather(self) -> Readings:
        began_s = self._monotonic_s()
        try:
            expected, told, nodes = await self._told(began_s)
        finally:
            self._asked_s = self._monotonic_s()
        for name, readings in told.items():
            if self._totals.take(name, readings):
                self._restarts[kind_of(name)].value += 1
        self._census = taken(expected, told, nodes, self._loops())
        self._totals.prune({*expected, m.GATEWAY})
        self._took.value = self._asked_s - began_s
        told[m.GATEWAY] = process_readings(m.GATEWAY, self._tallies)
        self._totals.take(m.GATEWAY, told[m.GATEWAY])
        sums, gauges = self._totals.readings(), merged_gauges(told)
        present = _presence(expected, told) + _node_counts(nodes)
        return Readings(sums.numbers + gauges.numbers + present, sums.spreads)

    async def _told(self, began_s: float) -> tuple[Sequence[str], dict[str, ProcessReadings], Sequence[Node]]:
        """The names of all actors, what those told that answered, and the nodes."""
        try:
            expected = [name for name in await self._names() if kind_of(name) in m.ACTORS]
            nodes = await self._nodes()
        except FeedbackLoopsError as exc:
            log.warning("Ray does not answer", extra={"action": "ray_silent", "error": str(exc)})
            return [], {}, []
        told: dict[str, ProcessReadings] = {}
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(name: str) -> None:
            async with gate:
                if self._monotonic_s() - began_s > ROUND_S:
                    return
                try:
                    readings: ProcessReadings = await self._actors.ask(name, "metrics", timeout_s=ANSWER_S)
                    told[name] = replace(readings, readings=fitting(readings.readings))
                except (FeedbackLoopsError, AttributeError, TypeError) as exc:  # the latter two: of another version
                    facts = {"action": "actor_silent", "actor": name, "error": str(exc)}
                    log.info("an actor did not tell its figures", extra=facts)

        await asyncio.gather(*map(ask, expected))
        return expected, told, nodes


def kind_of(name: str) -> str:
    """The kind of process behind an actor's name."""
    return name.partition("/")[0]


def _node_counts(nodes: Sequence[Node]) -> list[Number]:
    """How many nodes of Ray are alive, and how many dead; nothing when it does not say."""
    counts = Counter("alive" if node.is_alive else "dead" for node in nodes)
    return [(m.NODES.short_name, (state,), float(counts[state])) for state in ("alive", "dead")] if nodes else []


def _presence(expected: Sequence[str], told: dict[str, ProcessReadings]) -> list[Number]:
    """How many processes of each kind told their figures, and how many did not."""
    running = Counter(map(kind_of, told))
    silent = Counter(kind_of(name) for name in expected if name not in told)
    # The ledger and the supervisor should always be there, also when Ray knows nothing of them.
    silent.update(kind for kind in (m.LEDGER, m.SUPERVISOR) if kind not in running and kind not in silent)
    others = Counter(kind_of(name) for name, readings in told.items() if readings.version != PROGRAM)
    kinds = (m.GATEWAY, *m.ACTORS)
    present: list[Number] = [(m.RUNNING.short_name, (kind,), float(running[kind])) for kind in kinds]
    missing: list[Number] = [(m.SILENT.short_name, (kind,), float(silent[kind])) for kind in kinds]
    other: list[Number] = [(m.OTHER_VERSION.short_name, (kind,), float(others[kind])) for kind in kinds]
    return present + missing + other
