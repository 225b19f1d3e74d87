"""Metrics collector, with fake actors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from actors.commands.metrics import HistogramData, Snapshot
from actors.commands.service import ClusterInventory, ClusterNode
from actors.metrics import catalogue as m
from actors.metrics.collector import Collector
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from domain.errors import Unavailable
from tests.unit.actors.metrics.snapshots import SINCE_MS, numbers, snapshot_of


class FakeActors:
    """Fake actors, some of which do not answer; records the requests."""

    def __init__(self, **answers: ProcessSnapshot | None) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def names(self) -> Sequence[str]:
        return [*self.answers, "somebody-elses"]

    async def nodes(self) -> list[ClusterNode]:
        facts = (("b", True), ("a", False), ("c", True))
        return [ClusterNode(id=node, is_alive=alive, cpus=2 * alive, memory_bytes=0) for node, alive in facts]

    async def call(self, name: str, method: str, *_args: Any, timeout_s: float) -> Any:
        assert (method, timeout_s) == ("metrics", 1.0)
        self.asked.append(name)
        await self.gate.wait()
        if name == "loop-host/1":
            raise AttributeError("an actor of an older version has no such method")
        if (answer := self.answers[name]) is None:
            raise Unavailable(f"{name} did not answer")
        return answer


def test_actors_that_do_not_answer_are_left_out_and_counted() -> None:
    """A snapshot has the metrics of all actors that answer, and counts by kind those that do not."""

    async def scenario() -> Snapshot:
        actors = FakeActors(
            supervisor=None,
            **{
                "ledger": snapshot_of({("ledger_waiting_rows",): 4}),
                "feedback-loop/fl_1": snapshot_of({("attempts", "tls"): 1}),
                "feedback-loop/fl_2": snapshot_of({("attempts", "tls"): 2}),
                "loop-host/0": None,
                "loop-host/1": None,
            },
        )
        return await Collector(actors, actors.names, actors.nodes, since_ms=SINCE_MS).snapshot()

    found = numbers(asyncio.run(scenario()))
    assert found["attempts", "tls"] == 3
    assert found["ledger_waiting_rows",] == 4
    assert found["gather_seconds",] > 0
    assert (found["ray_nodes", "alive"], found["ray_nodes", "dead"]) == (2, 1)
    assert {key[1]: value for key, value in found.items() if key[0] == "processes_silent" and value} == {
        "supervisor": 1,
        "loop-host": 2,
    }
    assert {key[1]: value for key, value in found.items() if key[0] == "processes" and value} == {
        "gateway": 1,
        "ledger": 1,
        "feedback-loop": 2,
    }


def test_unknown_series_of_another_version_are_left_out() -> None:
    """A process of another version does not fail the collection: its known series count, and so does the process."""
    data = HistogramData((1, 2), 3.0)
    other = snapshot_of({("attempts", "tls"): 1, ("attempts",): 5, ("breakers",): 5, ("no_such_metric", "x"): 5})
    other = msgspec.structs.replace(
        other,
        version="99.0",
        snapshot=Snapshot(
            [*other.snapshot.numbers, ("commit_seconds", (), 7.0)],
            [("no_such_histogram", (), data), ("attempt_seconds", (), data), ("attempts", ("tls",), data)],
        ),
    )
    mine = process_snapshot(m.SUPERVISOR, Registry())

    async def scenario() -> Snapshot:
        actors = FakeActors(**{"ledger": mine, "feedback-loop/fl_1": other})
        actors.answers["enricher/0"] = "no snapshot"  # type: ignore[assignment]
        return await Collector(actors, actors.names, actors.nodes, since_ms=SINCE_MS).snapshot()

    snapshot = asyncio.run(scenario())
    found = numbers(snapshot)
    assert found["attempts", "tls"] == 1
    assert {name for name, *_ in snapshot.numbers if name not in m.BY_NAME} == set()
    assert ("attempts",) not in found
    assert ("commit_seconds",) not in found
    assert snapshot.histograms == []
    assert {key[1]: value for key, value in found.items() if key[0] == m.OTHER_VERSION.short_name and value} == {
        "feedback-loop": 1
    }
    assert found[m.SILENT.short_name, "enricher"] == 1


def test_the_inventory_lists_nodes_and_processes() -> None:
    """Within each kind the silent processes come first; ids of loops are not shown."""

    async def scenario() -> ClusterInventory:
        actors = FakeActors(
            **{
                "feedback-loop/fl_1": snapshot_of({("process_memory_bytes", "feedback-loop"): 6e7}),
                "loop-host/10": snapshot_of({}),
                "loop-host/2": snapshot_of({}),
                "loop-host/3": None,
                "ledger": snapshot_of({}),
            }
        )
        loops = {"loop-host/3": 7, "feedback-loop/fl_1": 1}
        return await Collector(actors, actors.names, actors.nodes, lambda: loops).cluster_inventory()

    found = asyncio.run(scenario())
    assert [(node.id, node.is_alive) for node in found.nodes] == [("b", True), ("c", True), ("a", False)]
    assert [(process.name, process.is_answering, process.loops) for process in found.processes] == [
        ("ledger", True, 0),
        ("feedback-loop", True, 1),
        ("loop-host/3", False, 7),
        ("loop-host/2", True, 0),
        ("loop-host/10", True, 0),
    ]
    assert found.processes[1].memory_bytes == 60_000_000
    assert found.process_count == 5


def test_simultaneous_callers_share_one_collection() -> None:
    """Callers during a collection or right after it get its result; a second later the actors are asked again."""

    async def scenario() -> list[int]:
        now_s = 100.0
        actors = FakeActors(ledger=snapshot_of({}))
        collector = Collector(actors, actors.names, actors.nodes, monotonic_s=lambda: now_s)
        actors.gate.clear()
        waiting = [asyncio.create_task(collector.snapshot()) for _ in range(5)]
        await asyncio.sleep(0)
        actors.gate.set()
        await asyncio.gather(*waiting)
        await collector.snapshot()
        counts = [len(actors.asked)]
        now_s += 1.0
        await collector.snapshot()
        return [*counts, len(actors.asked)]

    assert asyncio.run(scenario()) == [1, 2]


def test_a_restarted_actor_is_counted_by_its_kind() -> None:
    """A new incarnation under the same name counts as one restart."""

    async def scenario() -> float:
        now_s = 100.0
        actors = FakeActors(ledger=snapshot_of({}), supervisor=snapshot_of({}))
        collector = Collector(actors, actors.names, actors.nodes, monotonic_s=lambda: now_s, since_ms=SINCE_MS)
        await collector.snapshot()
        actors.answers["ledger"] = snapshot_of({}, "b")
        now_s += 10
        await collector.snapshot()
        now_s += 10
        found = numbers(await collector.snapshot())
        assert found["actor_restarts", "supervisor"] == 0
        return found["actor_restarts", "ledger"]

    assert asyncio.run(scenario()) == 1


def test_an_unavailable_ray_is_no_failure() -> None:
    """The snapshot still has the gateway's own metrics, and counts the ledger and the supervisor as silent."""

    async def away() -> Any:
        raise Unavailable("Ray does not say")

    actors = FakeActors()
    found = numbers(asyncio.run(Collector(actors, away, away).snapshot()))

    assert found["processes_silent", "ledger"] == found["processes_silent", "supervisor"] == 1
    assert found["process_cpu_seconds", "gateway"] > 0
