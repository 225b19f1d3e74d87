"""Benchmark of metrics: the cost of counting per event, and of a query of the backlog.

    python -m benchmarks.bench_metrics [--loops 1000] [--rows 1000000] [--dir DIR]

Times are for one core: the best of five runs, minus the time of the surrounding loop.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import timeit
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.schema import migrate
from actors.metrics import catalogue as m
from actors.metrics.instruments import DeliveryInstruments, EnrichmentInstruments
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.tracing.otlp import OtlpTraces
from actors.tracing.spans import Sampling
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.tracking import EventToRecord, RecordedEvents
from domain.values import DeliveryState

NOW_MS = 1_770_000_000_000
ROUNDS = 200_000


def cost_ns(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Returns the nanoseconds of one call."""
    empty = min(timeit.repeat(lambda: None, number=rounds, repeat=5))
    return (min(timeit.repeat(work, number=rounds, repeat=5)) - empty) / rounds * 1e9


def counting() -> None:
    """Prints the cost of each kind of counting."""
    registry = Registry()
    cell, histogram = registry.counter(m.HITS, "open"), registry.histogram(m.HIT_ANSWER)

    def add() -> None:
        cell.value += 1

    delivery = OfferedDelivery(1, (NOW_MS - 4).to_bytes(6, "big") + bytes(10), "open", b"{}", 0, NOW_MS)
    outcome = AttemptOutcome(1, 1, NOW_MS, 2, 200, None, "", "127.0.0.1", int(DeliveryState.DELIVERED), 0)
    telemetry = AttemptTelemetry("fl_1", DeliveryInstruments(registry))

    def attempt() -> None:
        telemetry.started()
        telemetry.finished()
        telemetry.completed(delivery, outcome, 0.002, NOW_MS)

    print(f"add to a counter                  {cost_ns(add):8.0f} ns")
    print(f"observe in a histogram            {cost_ns(lambda: histogram.observe(0.0021)):8.0f} ns")
    enrichment = EnrichmentInstruments(registry)
    events = [EventToRecord(bytes(16), 1, "click", 1, None, NOW_MS, b"{}", [1])] * 100
    recorded = RecordedEvents([[1]] * 100, [])

    def hit() -> None:
        began_s = time.perf_counter()
        cell.value += 1
        histogram.observe(time.perf_counter() - began_s)

    print(f"all figures of one hit            {cost_ns(hit):8.0f} ns")
    batch_ns = cost_ns(lambda: enrichment.recorded(events, recorded, NOW_MS + 5), 2_000)
    print(f"all figures of one event recorded {batch_ns / 100:8.0f} ns")
    print(f"telemetry of one attempt          {cost_ns(attempt):8.0f} ns")
    for share, what in ((0.0, "of an event that is not traced"), (1.0, "of an event that is traced")):
        # Nothing consumes the spans, so the oldest are dropped, as with a slow collector.
        traces = OtlpTraces("bench", Sampling(share), {"OTEL_BSP_SCHEDULE_DELAY": "60000"})
        traced = AttemptTelemetry("fl_1", DeliveryInstruments(registry), traces)
        took_ns = cost_ns(lambda traced=traced: traced.completed(delivery, outcome, 0.002, NOW_MS), 5_000)  # type: ignore[misc]
        print(f"{what:33} {took_ns:8.0f} ns")
        traces.stop(0)
    print(
        f"snapshot of a process             {cost_ns(lambda: process_snapshot(m.LEDGER, registry), 20) / 1e6:8.2f} ms"
    )


def looking(loops: int, rows: int, directory: Path) -> None:
    """Prints the cost of a query of the backlog."""
    path = directory / "ledger.sqlite"
    with closing(open_writer(path)) as connection:
        migrate(connection)
        connection.execute("BEGIN")
        loop = "INSERT INTO loops (no, id, account_no, state, doc, deleted) VALUES (?, ?, 1, 'active', ?, 0)"
        connection.executemany(loop, ((n, f"fl_{n}", "x" * 600) for n in range(1, loops + 1)))
        delivery = "INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
        connection.executemany(
            f"{delivery} VALUES (?, ?, x'00', 1, 0, 0, ?, ?)",
            ((n, n % loops + 1, NOW_MS, NOW_MS) for n in range(rows)),
        )
        connection.execute("COMMIT")
    reader = SQLiteLedgerReader(path)
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        reader.backlogs(NOW_MS + 1, 100_000)
        took_s.append(time.perf_counter() - began_s)
    reader.close()
    print(f"look at {rows} due of {loops} loops   {min(took_s) * 1000:8.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    counting()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
        looking(arguments.loops, arguments.rows, Path(directory))


if __name__ == "__main__":
    main()
