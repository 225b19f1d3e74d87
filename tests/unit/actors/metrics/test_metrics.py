"""Counting, merging and gathering of instruments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.commands.metrics import HistogramData, Snapshot
from actors.commands.service import ClusterInventory, ClusterNode
from actors.metrics import catalogue as m
from actors.metrics.accumulator import MAX_GONE, Accumulator, merge_gauges
from actors.metrics.collector import Collector
from actors.metrics.instruments import DeliveryInstruments
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.errors import Unavailable
from domain.values import DeliveryState

HIT_MS = 1_770_000_000_000
SINCE_MS = 1_000


def snapshot_of(
    numbers: dict[tuple[str, ...], float], incarnation: str = "a", started_ms: int = SINCE_MS, *histograms: Any
) -> ProcessSnapshot:
    """Snapshot of a process; keys are a metric's short name and its labels."""
    rows = [(name, labels, value) for (name, *rest), value in numbers.items() for labels in [tuple(rest)]]
    return ProcessSnapshot(incarnation, started_ms, Snapshot(rows, list(histograms)))


def numbers(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    return {(name, *labels): value for name, labels, value in snapshot.numbers}


def test_names_and_labels_are_as_prometheus_wants_them() -> None:
    """Names are unique and of Prometheus' alphabet; buckets grow; every label has few values, none twice."""
    names = [metric.name for metric in m.METRICS]

    assert len(set(names)) == len(names)
    for metric in m.METRICS:
        assert metric.name.replace("_", "").isalpha()
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) is (metric.kind is m.Kind.HISTOGRAM)
        assert metric.help.endswith(".")
        assert set(metric.source) <= set(m.PROCESSES)
        for values in metric.labels.values():
            assert len(set(values)) == len(values) <= 13


def test_the_same_series_is_the_same_cell() -> None:
    """Whoever asks for a series adds to what all others add to; what cannot be read just now is left out."""
    registry = Registry()
    registry.counter(m.ATTEMPTS, "tls").value += 1
    registry.counter(m.ATTEMPTS, "tls").value += 1
    registry.set_function(m.JOURNAL_DEPTH, lambda: 7)
    registry.set_function(m.LEDGER_SIZE, lambda: Path("/no/such/file").stat().st_size)

    assert numbers(registry.snapshot()) == {("attempts", "tls"): 2, ("journal_depth",): 7}


def test_a_label_that_the_catalogue_does_not_have_is_refused() -> None:
    """No series beyond the catalogue can come about, so their number is bounded."""
    registry = Registry()
    for labels in [("fl_0190",), (), ("tls", "tls")]:
        with pytest.raises(ValueError, match=r"label value|zip"):
            registry.counter(m.ATTEMPTS, *labels)
    with pytest.raises(TypeError):
        registry.counter(m.COMMIT)
    with pytest.raises(TypeError):
        registry.histogram(m.HITS, "open")


def test_a_value_at_a_bound_is_in_its_bucket() -> None:
    """Buckets include their upper bound (Prometheus' `le`), and the last takes what is beyond all bounds."""
    histogram = Registry().histogram(m.FORWARD_BATCH)
    for value in (1, 1.5, 2, 256, 257):
        histogram.observe(value)

    assert histogram.counts == [1, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert histogram.total == 517.5


def test_a_restarted_process_lets_no_sum_fall() -> None:
    """A counter's sum grows by what each incarnation counted, also across a restart; gauges play no part."""
    accumulator = Accumulator(SINCE_MS)
    steps = [
        snapshot_of({("hits_unknown",): 5, ("ledger_waiting_rows",): 3}),
        snapshot_of({("hits_unknown",): 9}),
        snapshot_of({("hits_unknown",): 2}, "b"),
        snapshot_of({("hits_unknown",): 2}, "b"),
    ]
    restarts, sums = [], []
    for step in steps:
        restarts.append(accumulator.add("enricher/0", step))
        sums.append(numbers(accumulator.snapshot())["hits_unknown",])

    assert restarts == [False, False, True, False]
    assert sums == [5, 9, 11, 11]
    assert set(numbers(accumulator.snapshot())) == {("hits_unknown",)}


def test_a_new_gateway_begins_at_zero() -> None:
    """What older processes counted before is not counted again as if it had happened now (a reset, to Prometheus)."""
    accumulator = Accumulator(SINCE_MS)
    data = HistogramData((1, 2), 2.5)
    accumulator.add(
        "ledger", snapshot_of({("events_repeated",): 100}, "a", SINCE_MS - 1, ("hit_recorded_seconds", (), data))
    )
    accumulator.add("enricher/0", snapshot_of({("events_repeated",): 3}, "x", SINCE_MS + 1))

    assert numbers(accumulator.snapshot()) == {("events_repeated",): 3}
    assert accumulator.snapshot().histograms == [("hit_recorded_seconds", (), HistogramData((0, 0), 0.0))]

    later = HistogramData((2, 2), 2.75)
    accumulator.add(
        "ledger", snapshot_of({("events_repeated",): 101}, "a", SINCE_MS - 1, ("hit_recorded_seconds", (), later))
    )

    assert numbers(accumulator.snapshot()) == {("events_repeated",): 4}
    assert accumulator.snapshot().histograms == [("hit_recorded_seconds", (), HistogramData((1, 0), 0.25))]


def test_what_a_process_counted_outlives_it() -> None:
    """The figures of a loop that was deleted stay in the sum; one that comes later under its name is added to them."""
    accumulator = Accumulator(SINCE_MS)
    accumulator.add("feedback-loop/fl_1", snapshot_of({("hits_unknown",): 5}))
    for number in range(MAX_GONE):
        accumulator.add(f"feedback-loop/{number}", snapshot_of({}))
    accumulator.prune([])

    assert not accumulator.add("feedback-loop/fl_1", snapshot_of({("hits_unknown",): 1}, "b"))
    assert numbers(accumulator.snapshot()) == {("hits_unknown",): 6}


def test_a_process_that_was_away_is_not_counted_twice() -> None:
    """One that Ray did not name for a while goes on from where it was."""
    accumulator = Accumulator(SINCE_MS)
    accumulator.add("ledger", snapshot_of({("hits_unknown",): 5}))
    accumulator.prune([])
    accumulator.add("ledger", snapshot_of({("hits_unknown",): 6}))

    assert numbers(accumulator.snapshot()) == {("hits_unknown",): 6}


def test_gauges_are_merged_as_the_catalogue_says() -> None:
    """Those of size are added up, those of age and time are the greatest."""
    merged = merge_gauges(
        {
            "a": snapshot_of(
                {("attempts_under_way",): 2, ("process_start_time_seconds", "enricher"): 10, ("no_such",): 1}
            ),
            "b": snapshot_of({("attempts_under_way",): 3, ("process_start_time_seconds", "enricher"): 20}),
        }
    )

    assert numbers(merged) == {("attempts_under_way",): 5, ("process_start_time_seconds", "enricher"): 20}


def test_a_process_tells_of_itself() -> None:
    """Its start, CPU time, memory and open files are there under its kind, and stay what they were over the wire."""
    here = process_snapshot(m.LEDGER, Registry())
    found = numbers(here.snapshot)

    assert found["process_memory_bytes", "ledger"] > 5_000_000
    assert found["process_cpu_seconds", "ledger"] > 0
    assert found["process_open_files", "ledger"] >= 3
    assert found["process_start_time_seconds", "ledger"] == here.started_ms / 1000
    assert msgspec.json.decode(msgspec.json.encode(here), type=ProcessSnapshot) == here


class SomeActors:
    """Actors that answer, that do not, and that are asked."""

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


def test_those_that_do_not_answer_are_left_out_and_counted() -> None:
    """A scrape has the figures of all that answer, and says how many of each kind did not."""

    async def scenario() -> Snapshot:
        actors = SomeActors(
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


def test_what_another_version_tells_is_taken_as_far_as_it_is_known() -> None:
    """No figure of a process of another version fails the page: what does not fit is left out, and it is counted."""
    data = HistogramData((1, 2), 3.0)
    other = snapshot_of({("attempts", "tls"): 1, ("attempts",): 5, ("breakers",): 5, ("no_such_metric", "x"): 5})
    other = msgspec.structs.replace(
        other,
        version="99.0",
        snapshot=Snapshot(
            [*other.snapshot.numbers, ("commit_seconds", (), 7.0)],
            [("no_such_spread", (), data), ("attempt_seconds", (), data), ("attempts", ("tls",), data)],
        ),
    )
    mine = process_snapshot(m.SUPERVISOR, Registry())

    async def scenario() -> Snapshot:
        actors = SomeActors(**{"ledger": mine, "feedback-loop/fl_1": other})
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


def test_a_census_says_who_is_there_and_who_does_not_answer() -> None:
    """Nodes and actors, of each kind the silent ones first, with their loops; no id of a loop."""

    async def scenario() -> ClusterInventory:
        actors = SomeActors(
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


def test_many_that_ask_cost_as_much_as_one() -> None:
    """Who asks while others wait, or just afterwards, gets their answer; a second later the actors are asked again."""

    async def scenario() -> list[int]:
        now_s = 100.0
        actors = SomeActors(ledger=snapshot_of({}))
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
    """Another incarnation under the same name is one restart more."""

    async def scenario() -> float:
        now_s = 100.0
        actors = SomeActors(ledger=snapshot_of({}), supervisor=snapshot_of({}))
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


def test_a_ray_that_is_away_is_no_failure() -> None:
    """The gateway still tells of itself, and that what should be there is silent."""

    async def away() -> Any:
        raise Unavailable("Ray does not say")

    actors = SomeActors()
    found = numbers(asyncio.run(Collector(actors, away, away).snapshot()))

    assert found["processes_silent", "ledger"] == found["processes_silent", "supervisor"] == 1
    assert found["process_cpu_seconds", "gateway"] > 0


def outcome(state: DeliveryState, error: str | None) -> AttemptOutcome:
    return AttemptOutcome(1, 1, HIT_MS, 5, None, error, "", None, int(state), 0)


def test_attempts_are_counted_by_what_came_of_them() -> None:
    """Each attempt is one of `attempts`, each end of a delivery one of `deliveries`; latency begins with the hit."""
    registry = Registry()
    instruments = DeliveryInstruments(registry)
    delivery = OfferedDelivery(1, HIT_MS.to_bytes(6, "big") + bytes(10), "open", b"{}", 0, HIT_MS)
    instruments.attempted(delivery, outcome(DeliveryState.PENDING, "timeout"), 15.0, HIT_MS)
    instruments.attempted(delivery._replace(attempts=1), outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 5000)
    instruments.attempted(delivery, outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 8)
    instruments.attempted(delivery, outcome(DeliveryState.DEAD, "a new word"), 0.1, HIT_MS)
    found = {key: value for key, value in numbers(registry.snapshot()).items() if value}
    latency = {
        labels: data for name, labels, data in registry.snapshot().histograms if name == "event_delivered_seconds"
    }

    assert found == {
        ("attempts", "delivered"): 2,
        ("attempts", "timeout"): 1,
        ("attempts", "internal"): 1,
        ("deliveries", "delivered"): 2,
        ("deliveries", "dead"): 1,
    }
    assert latency["first",].total == 0.008
    assert latency["later",].total == 5.0
