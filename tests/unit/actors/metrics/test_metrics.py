"""Counting, merging and gathering of figures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.metrics import catalogue as m
from actors.metrics.accumulator import MAX_GONE, Totals, merged_gauges
from actors.metrics.cluster_inventory import Census, Node
from actors.metrics.collector import Gathering
from actors.metrics.instruments import DeliveryFigures
from actors.metrics.process_metrics import process_readings
from actors.metrics.registry import Tallies
from actors.metrics.snapshots import ProcessReadings, Readings, Spread
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.errors import Unavailable
from domain.values import DeliveryState

HIT_MS = 1_770_000_000_000
SINCE_MS = 1_000


def told(
    numbers: dict[tuple[str, ...], float], incarnation: str = "a", started_ms: int = SINCE_MS, *spreads: Any
) -> ProcessReadings:
    """Readings of a process; keys are a metric's short name and its labels."""
    rows = [(name, labels, value) for (name, *rest), value in numbers.items() for labels in [tuple(rest)]]
    return ProcessReadings(incarnation, started_ms, Readings(rows, list(spreads)))


def numbers(readings: Readings) -> dict[tuple[str, ...], float]:
    return {(name, *labels): value for name, labels, value in readings.numbers}


def test_names_and_labels_are_as_prometheus_wants_them() -> None:
    """Names are unique and of Prometheus' alphabet; buckets grow; every label has few values, none twice."""
    names = [metric.name for metric in m.METRICS]

    assert len(set(names)) == len(names)
    for metric in m.METRICS:
        assert metric.name.replace("_", "").isalpha()
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) is (metric.kind is m.Kind.HISTOGRAM)
        assert metric.help.endswith(".")
        assert set(metric.told_by) <= set(m.PROCESSES)
        for values in metric.labels.values():
            assert len(set(values)) == len(values) <= 13


def test_the_same_series_is_the_same_cell() -> None:
    """Whoever asks for a series adds to what all others add to; what cannot be read just now is left out."""
    tallies = Tallies()
    tallies.cell(m.ATTEMPTS, "tls").value += 1
    tallies.cell(m.ATTEMPTS, "tls").value += 1
    tallies.read_by(m.JOURNAL_DEPTH, lambda: 7)
    tallies.read_by(m.LEDGER_SIZE, lambda: Path("/no/such/file").stat().st_size)

    assert numbers(tallies.readings()) == {("attempts", "tls"): 2, ("journal_depth",): 7}


def test_a_label_that_the_catalogue_does_not_have_is_refused() -> None:
    """No series beyond the catalogue can come about, so their number is bounded."""
    tallies = Tallies()
    for labels in [("fl_0190",), (), ("tls", "tls")]:
        with pytest.raises(ValueError, match=r"label value|zip"):
            tallies.cell(m.ATTEMPTS, *labels)
    with pytest.raises(TypeError):
        tallies.cell(m.COMMIT)
    with pytest.raises(TypeError):
        tallies.histogram(m.HITS, "open")


def test_a_value_at_a_bound_is_in_its_bucket() -> None:
    """Buckets include their upper bound (Prometheus' `le`), and the last takes what is beyond all bounds."""
    histogram = Tallies().histogram(m.FORWARD_BATCH)
    for value in (1, 1.5, 2, 256, 257):
        histogram.observe(value)

    assert histogram.counts == [1, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert histogram.total == 517.5


def test_a_restarted_process_lets_no_sum_fall() -> None:
    """A counter's sum grows by what each incarnation counted, also across a restart; gauges play no part."""
    totals = Totals(SINCE_MS)
    steps = [
        told({("hits_unknown",): 5, ("ledger_waiting_rows",): 3}),
        told({("hits_unknown",): 9}),
        told({("hits_unknown",): 2}, "b"),
        told({("hits_unknown",): 2}, "b"),
    ]
    restarts, sums = [], []
    for step in steps:
        restarts.append(totals.take("enricher/0", step))
        sums.append(numbers(totals.readings())["hits_unknown",])

    assert restarts == [False, False, True, False]
    assert sums == [5, 9, 11, 11]
    assert set(numbers(totals.readings())) == {("hits_unknown",)}


def test_a_new_gateway_begins_at_zero() -> None:
    """What older processes counted before is not counted again as if it had happened now (a reset, to Prometheus)."""
    totals = Totals(SINCE_MS)
    spread = Spread((1, 2), 2.5)
    totals.take("ledger", told({("events_repeated",): 100}, "a", SINCE_MS - 1, ("hit_recorded_seconds", (), spread)))
    totals.take("enricher/0", told({("events_repeated",): 3}, "x", SINCE_MS + 1))

    assert numbers(totals.readings()) == {("events_repeated",): 3}
    assert totals.readings().spreads == [("hit_recorded_seconds", (), Spread((0, 0), 0.0))]

    later = Spread((2, 2), 2.75)
    totals.take("ledger", told({("events_repeated",): 101}, "a", SINCE_MS - 1, ("hit_recorded_seconds", (), later)))

    assert numbers(totals.readings()) == {("events_repeated",): 4}
    assert totals.readings().spreads == [("hit_recorded_seconds", (), Spread((1, 0), 0.25))]


def test_what_a_process_counted_outlives_it() -> None:
    """The figures of a loop that was deleted stay in the sum; one that comes later under its name is added to them."""
    totals = Totals(SINCE_MS)
    totals.take("feedback-loop/fl_1", told({("hits_unknown",): 5}))
    for number in range(MAX_GONE):
        totals.take(f"feedback-loop/{number}", told({}))
    totals.prune([])

    assert not totals.take("feedback-loop/fl_1", told({("hits_unknown",): 1}, "b"))
    assert numbers(totals.readings()) == {("hits_unknown",): 6}


def test_a_process_that_was_away_is_not_counted_twice() -> None:
    """One that Ray did not name for a while goes on from where it was."""
    totals = Totals(SINCE_MS)
    totals.take("ledger", told({("hits_unknown",): 5}))
    totals.prune([])
    totals.take("ledger", told({("hits_unknown",): 6}))

    assert numbers(totals.readings()) == {("hits_unknown",): 6}


def test_gauges_are_merged_as_the_catalogue_says() -> None:
    """Those of size are added up, those of age and time are the greatest."""
    merged = merged_gauges(
        {
            "a": told({("attempts_under_way",): 2, ("process_start_time_seconds", "enricher"): 10, ("no_such",): 1}),
            "b": told({("attempts_under_way",): 3, ("process_start_time_seconds", "enricher"): 20}),
        }
    )

    assert numbers(merged) == {("attempts_under_way",): 5, ("process_start_time_seconds", "enricher"): 20}


def test_a_process_tells_of_itself() -> None:
    """Its start, CPU time, memory and open files are there under its kind, and stay what they were over the wire."""
    here = process_readings(m.LEDGER, Tallies())
    found = numbers(here.readings)

    assert found["process_memory_bytes", "ledger"] > 5_000_000
    assert found["process_cpu_seconds", "ledger"] > 0
    assert found["process_open_files", "ledger"] >= 3
    assert found["process_start_time_seconds", "ledger"] == here.started_ms / 1000
    assert msgspec.json.decode(msgspec.json.encode(here), type=ProcessReadings) == here


class SomeActors:
    """Actors that answer, that do not, and that are asked."""

    def __init__(self, **answers: ProcessReadings | None) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def names(self) -> Sequence[str]:
        return [*self.answers, "somebody-elses"]

    async def nodes(self) -> list[Node]:
        facts = (("b", True), ("a", False), ("c", True))
        return [Node(id=node, is_alive=alive, cpus=2 * alive, memory_bytes=0) for node, alive in facts]

    async def ask(self, name: str, method: str, *_args: Any, timeout_s: float) -> Any:
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

    async def scenario() -> Readings:
        actors = SomeActors(
            supervisor=None,
            **{
                "ledger": told({("ledger_waiting_rows",): 4}),
                "feedback-loop/fl_1": told({("attempts", "tls"): 1}),
                "feedback-loop/fl_2": told({("attempts", "tls"): 2}),
                "loop-host/0": None,
                "loop-host/1": None,
            },
        )
        return await Gathering(actors, actors.names, actors.nodes, since_ms=SINCE_MS).readings()

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
    spread = Spread((1, 2), 3.0)
    other = told({("attempts", "tls"): 1, ("attempts",): 5, ("breakers",): 5, ("no_such_metric", "x"): 5})
    other = msgspec.structs.replace(
        other,
        version="99.0",
        readings=Readings(
            [*other.readings.numbers, ("commit_seconds", (), 7.0)],
            [("no_such_spread", (), spread), ("attempt_seconds", (), spread), ("attempts", ("tls",), spread)],
        ),
    )
    mine = process_readings(m.SUPERVISOR, Tallies())

    async def scenario() -> Readings:
        actors = SomeActors(**{"ledger": mine, "feedback-loop/fl_1": other})
        actors.answers["enricher/0"] = "no readings"  # type: ignore[assignment]
        return await Gathering(actors, actors.names, actors.nodes, since_ms=SINCE_MS).readings()

    readings = asyncio.run(scenario())
    found = numbers(readings)
    assert found["attempts", "tls"] == 1
    assert {name for name, *_ in readings.numbers if name not in m.BY_NAME} == set()
    assert ("attempts",) not in found
    assert ("commit_seconds",) not in found
    assert readings.spreads == []
    assert {key[1]: value for key, value in found.items() if key[0] == m.OTHER_VERSION.short_name and value} == {
        "feedback-loop": 1
    }
    assert found[m.SILENT.short_name, "enricher"] == 1


def test_a_census_says_who_is_there_and_who_does_not_answer() -> None:
    """Nodes and actors, of each kind the silent ones first, with their loops; no id of a loop."""

    async def scenario() -> Census:
        actors = SomeActors(
            **{
                "feedback-loop/fl_1": told({("process_memory_bytes", "feedback-loop"): 6e7}),
                "loop-host/10": told({}),
                "loop-host/2": told({}),
                "loop-host/3": None,
                "ledger": told({}),
            }
        )
        loops = {"loop-host/3": 7, "feedback-loop/fl_1": 1}
        return await Gathering(actors, actors.names, actors.nodes, lambda: loops).census()

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
    assert found.of_processes == 5


def test_many_that_ask_cost_as_much_as_one() -> None:
    """Who asks while others wait, or just afterwards, gets their answer; a second later the actors are asked again."""

    async def scenario() -> list[int]:
        now_s = 100.0
        actors = SomeActors(ledger=told({}))
        gathering = Gathering(actors, actors.names, actors.nodes, monotonic_s=lambda: now_s)
        actors.gate.clear()
        waiting = [asyncio.create_task(gathering.readings()) for _ in range(5)]
        await asyncio.sleep(0)
        actors.gate.set()
        await asyncio.gather(*waiting)
        await gathering.readings()
        counts = [len(actors.asked)]
        now_s += 1.0
        await gathering.readings()
        return [*counts, len(actors.asked)]

    assert asyncio.run(scenario()) == [1, 2]


def test_a_restarted_actor_is_counted_by_its_kind() -> None:
    """Another incarnation under the same name is one restart more."""

    async def scenario() -> float:
        now_s = 100.0
        actors = SomeActors(ledger=told({}), supervisor=told({}))
        gathering = Gathering(actors, actors.names, actors.nodes, monotonic_s=lambda: now_s, since_ms=SINCE_MS)
        await gathering.readings()
        actors.answers["ledger"] = told({}, "b")
        now_s += 10
        await gathering.readings()
        now_s += 10
        found = numbers(await gathering.readings())
        assert found["actor_restarts", "supervisor"] == 0
        return found["actor_restarts", "ledger"]

    assert asyncio.run(scenario()) == 1


def test_a_ray_that_is_away_is_no_failure() -> None:
    """The gateway still tells of itself, and that what should be there is silent."""

    async def away() -> Any:
        raise Unavailable("Ray does not say")

    actors = SomeActors()
    found = numbers(asyncio.run(Gathering(actors, away, away).readings()))

    assert found["processes_silent", "ledger"] == found["processes_silent", "supervisor"] == 1
    assert found["process_cpu_seconds", "gateway"] > 0


def outcome(state: DeliveryState, error: str | None) -> AttemptOutcome:
    return AttemptOutcome(1, 1, HIT_MS, 5, None, error, "", None, int(state), 0)


def test_attempts_are_counted_by_what_came_of_them() -> None:
    """Each attempt is one of `attempts`, each end of a delivery one of `deliveries`; latency begins with the hit."""
    tallies = Tallies()
    figures = DeliveryFigures(tallies)
    delivery = OfferedDelivery(1, HIT_MS.to_bytes(6, "big") + bytes(10), "open", b"{}", 0, HIT_MS)
    figures.attempted(delivery, outcome(DeliveryState.PENDING, "timeout"), 15.0, HIT_MS)
    figures.attempted(delivery._replace(attempts=1), outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 5000)
    figures.attempted(delivery, outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 8)
    figures.attempted(delivery, outcome(DeliveryState.DEAD, "a new word"), 0.1, HIT_MS)
    found = {key: value for key, value in numbers(tallies.readings()).items() if value}
    latency = {
        labels: spread for name, labels, spread in tallies.readings().spreads if name == "event_delivered_seconds"
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
