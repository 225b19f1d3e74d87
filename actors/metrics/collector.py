"""Metrics collector: asks all actors in parallel for their metrics, within a time limit and at a limited rate."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec.structs import replace

from actors.commands.metrics import Number, Snapshot
from actors.commands.service import ClusterInventory, ClusterNode
from actors.metrics import catalogue as m
from actors.metrics.accumulator import Accumulator, known_series, merge_gauges
from actors.metrics.cluster_inventory import build_inventory, kind_of
from actors.metrics.process_metrics import STARTED_MS, process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from actors.version import PROGRAM
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds that an actor has to answer; a scrape of Prometheus waits for ten.
ANSWER_S: Final = 1.0
#: Actors that are asked at the same time.
AT_ONCE: Final = 32
#: Seconds for all actors together.
ROUND_S: Final = 4.0
#: Seconds for which a result is reused: a scrape needs no key, and every collection costs all actors something.
FRESH_S: Final = 1.0


class ActorClient(Protocol):
    """Calls actors by name."""

    async def call(self, name: str, method: str, *args: Any, timeout_s: float) -> Any:
        """Returns the method's value. Raises FeedbackLoopsError."""
        ...


class Collector:
    """Collects the metrics of all processes behind the front end, including this one.

    Counters never fall while this process lives (see `Accumulator`). An actor that does not answer in time counts as
    silent: its counters stand still and its gauges are left out. The same holds for an actor of another version whose
    answer cannot be read. Of an answer that can be read, series that are not in the catalogue are left out.
    """

    def __init__(
        self,
        actors: ActorClient,
        names: Callable[[], Awaitable[Sequence[str]]],
        nodes: Callable[[], Awaitable[Sequence[ClusterNode]]],
        loops: Callable[[], Mapping[str, int]] = dict,
        monotonic_s: Callable[[], float] = time.monotonic,
        since_ms: int = STARTED_MS,
        registry: Registry | None = None,
    ) -> None:
        """A collector that has collected nothing yet.

        Args:
            actors: Calls the actors.
            names: Returns the names of the actors that should answer.
            nodes: Returns Ray's nodes.
            loops: Returns the number of loops that each actor holds, by the actor's name.
            monotonic_s: The clock for time limits.
            since_ms: See `Accumulator`.
            registry: The metrics of this process.
        """
        self._actors = actors
        self._names = names
        self._nodes = nodes
        self._loops = loops
        self._inventory = ClusterInventory(nodes=[], processes=[], process_count=0)
        self._monotonic_s = monotonic_s
        self._registry = registry or Registry()
        self._accumulator = Accumulator(since_ms)
        self._restarts = {kind: self._registry.counter(m.RESTARTS, kind) for kind in m.ACTORS}
        self._duration = self._registry.gauge(m.GATHER)
        self._round: asyncio.Task[Snapshot] | None = None
        self._collected_s = float("-inf")

    async def snapshot(self) -> Snapshot:
        """All metrics. Callers that arrive during a collection or shortly after it share its result."""
        is_over = self._round is None or self._round.done()
        if self._round is None or (is_over and self._monotonic_s() - self._collected_s >= FRESH_S):
            self._round = asyncio.create_task(self._collect(), name="collect metrics")
        return await asyncio.shield(self._round)

    async def cluster_inventory(self) -> ClusterInventory:
        """The nodes and actor processes, as of the latest collection."""
        await self.snapshot()
        return self._inventory

    async def _collect(self) -> Snapshot:
        began_s = self._monotonic_s()
        try:
            expected, processes, nodes = await self._ask_all(began_s)
        finally:
            self._collected_s = self._monotonic_s()
        for name, process in processes.items():
            if self._accumulator.add(name, process):
                self._restarts[kind_of(name)].value += 1
        self._inventory = build_inventory(expected, processes, nodes, self._loops())
        self._accumulator.prune({*expected, m.GATEWAY})
        self._duration.value = self._collected_s - began_s
        processes[m.GATEWAY] = process_snapshot(m.GATEWAY, self._registry)
        self._accumulator.add(m.GATEWAY, processes[m.GATEWAY])
        sums, gauges = self._accumulator.snapshot(), merge_gauges(processes)
        present = _presence(expected, processes) + _node_counts(nodes)
        return Snapshot(sums.numbers + gauges.numbers + present, sums.histograms)

    async def _ask_all(self, began_s: float) -> tuple[Sequence[str], dict[str, ProcessSnapshot], Sequence[ClusterNode]]:
        """The names of all actors, the snapshots of those that answered, and the nodes."""
        try:
            expected = [name for name in await self._names() if kind_of(name) in m.ACTORS]
            nodes = await self._nodes()
        except FeedbackLoopsError as exc:
            log.warning("Ray does not answer", extra={"action": "ray_silent", "error": str(exc)})
            return [], {}, []
        processes: dict[str, ProcessSnapshot] = {}
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(name: str) -> None:
            async with gate:
                if self._monotonic_s() - began_s > ROUND_S:
                    return
                try:
                    process: ProcessSnapshot = await self._actors.call(name, "metrics", timeout_s=ANSWER_S)
                    processes[name] = replace(process, snapshot=known_series(process.snapshot))
                except (FeedbackLoopsError, AttributeError, TypeError) as exc:  # the last two: another version
                    facts = {"action": "actor_silent", "actor": name, "error": str(exc)}
                    log.info("an actor did not report its metrics", extra=facts)

        await asyncio.gather(*map(ask, expected))
        return expected, processes, nodes


def _node_counts(nodes: Sequence[ClusterNode]) -> list[Number]:
    """The number of alive and of dead Ray nodes; nothing when Ray did not answer."""
    counts = Counter("alive" if node.is_alive else "dead" for node in nodes)
    return [(m.NODES.short_name, (state,), float(counts[state])) for state in ("alive", "dead")] if nodes else []


def _presence(expected: Sequence[str], processes: Mapping[str, ProcessSnapshot]) -> list[Number]:
    """The number of processes of each kind that answered, that did not, and that are of another version."""
    running = Counter(map(kind_of, processes))
    silent = Counter(kind_of(name) for name in expected if name not in processes)
    # The ledger and the supervisor must always exist, even if Ray does not list them.
    silent.update(kind for kind in (m.LEDGER, m.SUPERVISOR) if kind not in running and kind not in silent)
    others = Counter(kind_of(name) for name, process in processes.items() if process.version != PROGRAM)
    kinds = (m.GATEWAY, *m.ACTORS)
    counted = ((m.RUNNING, running), (m.SILENT, silent), (m.OTHER_VERSION, others))
    return [(metric.short_name, (kind,), float(counts[kind])) for metric, counts in counted for kind in kinds]
