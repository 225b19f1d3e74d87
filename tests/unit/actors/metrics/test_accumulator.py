"""Accumulator of the metrics of restarting processes."""

from __future__ import annotations

from actors.commands.metrics import HistogramData
from actors.metrics.accumulator import MAX_GONE, Accumulator, merge_gauges
from tests.unit.actors.metrics.snapshots import SINCE_MS, numbers, snapshot_of


def test_sums_do_not_fall_when_a_process_restarts() -> None:
    """A counter's sum grows by what each incarnation counted, also across a restart; gauges are not summed."""
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


def test_a_new_gateway_starts_at_zero() -> None:
    """Earlier counts of older processes do not count again; Prometheus sees a counter reset."""
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


def test_counts_outlive_their_process() -> None:
    """The counts of a deleted loop stay in the sum; a later process of the same name adds to them."""
    accumulator = Accumulator(SINCE_MS)
    accumulator.add("feedback-loop/fl_1", snapshot_of({("hits_unknown",): 5}))
    for number in range(MAX_GONE):
        accumulator.add(f"feedback-loop/{number}", snapshot_of({}))
    accumulator.prune([])

    assert not accumulator.add("feedback-loop/fl_1", snapshot_of({("hits_unknown",): 1}, "b"))
    assert numbers(accumulator.snapshot()) == {("hits_unknown",): 6}


def test_a_process_that_reappears_is_not_counted_twice() -> None:
    """A process that Ray did not list for a while continues from its last snapshot."""
    accumulator = Accumulator(SINCE_MS)
    accumulator.add("ledger", snapshot_of({("hits_unknown",): 5}))
    accumulator.prune([])
    accumulator.add("ledger", snapshot_of({("hits_unknown",): 6}))

    assert numbers(accumulator.snapshot()) == {("hits_unknown",): 6}


def test_gauges_are_merged_by_the_catalogue() -> None:
    """Sizes are summed; ages and times are the maximum."""
    merged = merge_gauges(
        {
            "a": snapshot_of(
                {("attempts_under_way",): 2, ("process_start_time_seconds", "enricher"): 10, ("no_such",): 1}
            ),
            "b": snapshot_of({("attempts_under_way",): 3, ("process_start_time_seconds", "enricher"): 20}),
        }
    )

    assert numbers(merged) == {("attempts_under_way",): 5, ("process_start_time_seconds", "enricher"): 20}
