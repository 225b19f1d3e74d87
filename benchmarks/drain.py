"""Benchmark of a large backlog: how fast it drains once its handler is back, and the effect on another loop.

    python -m benchmarks.drain [--events 1000000] [--out benchmarks/results]

A run measures the plain rate (clicks answered, stored and POSTed with the handler up) and the other loop's latency at
rest. Then the handler is down during `--events` clicks and comes back, and the backlog drains while the other loop's
clicks continue.
"""

from __future__ import annotations

import argparse
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks.main_job import latency, rate_of, send
from benchmarks.memory import private_mb, waiting
from tests.service import Account, Service, Sink, eventually

#: The guarantees: a backlog drains at this fraction of the plain rate or faster, and another loop's p99 grows at most
#: by this factor.
MIN_DRAIN_RATIO = 0.8
MAX_P99_RATIO = 2.0
BATCH = 20_000
RATE = 100.0
#: Number of latency rounds, and seconds of each. The result is the round with the median p99.
ROUNDS = 3
ROUND_S = 10.0


def fill(service: Service, account: Account, loop_id: str, events: int, folder: Path) -> None:
    """Clicks the same links again and again until this many deliveries wait."""
    paths = account.click_paths(BATCH)
    before = waiting(account, loop_id)
    for done in range(BATCH, events + 1, BATCH):
        send(service.port, paths, folder)
        if done % 100_000 == 0:
            print(f"{done:,} clicked", flush=True)
    eventually(partial(_reached, account, loop_id, before + events), 600, "every click is a delivery", 0.5)


def _reached(account: Account, loop_id: str, number: int) -> bool:
    return waiting(account, loop_id) >= number


def median_latency(account: Account, sink: Sink, first: int, folder: Path) -> dict[str, Any]:
    """Returns the other loop's latency. Its links are numbered from `first`."""
    clicks = int(RATE * ROUND_S)
    rounds = [latency(account, sink, RATE, ROUND_S, first + n * clicks, folder) for n in range(ROUNDS)]
    p99s = [took["p99_ms"] for took in rounds]
    return {**sorted(rounds, key=lambda took: took["p99_ms"])[ROUNDS // 2], "p99_of_rounds_ms": p99s}


class Drain(threading.Thread):
    """Watches a sink receive a backlog, and the service's memory meanwhile.

    Reading a process's memory stops the process for milliseconds, so memory is not read while `is_measured` is set.
    """

    def __init__(self, service: Service, sink: Sink, events: int) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._sink = sink
        self._events = events
        self.seconds = 0.0
        self.is_measured = threading.Event()
        self.memory_mb: list[dict[str, float]] = []

    def run(self) -> None:
        began_ns = 0
        while (stats := self._sink.stats())["posts"] < self._events:
            if stats["posts"] and not began_ns:
                began_ns = time.monotonic_ns()
            if not self.is_measured.is_set():
                self.memory_mb.append(private_mb(self._service))
            time.sleep(0.5)
        self.seconds = (stats["last_ns"] - began_ns) / 1e9


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    events = options.events
    sink, other_sink = Sink().start(), Sink().start()
    service = Service(folder / "data")
    try:
        service.start()
        account, other = service.account(), service.account()
        loop = account.loop(sink)
        other.loop(other_sink)
        rate_of(sink, service.port, account.click_paths(2_000), folder)
        plain = rate_of(sink, service.port, account.click_paths(30_000, first=2_000), folder)
        quiet = median_latency(other, other_sink, 0, folder)
        sink.command("vanish")
        fill(service, account, loop["id"], events, folder)
        sink.command("reset")
        sink.command("accept")
        drain = Drain(service, sink, events)
        drain.start()
        eventually(lambda: sink.stats()["posts"] > 1_000, 120, "the backlog drains", 0.2)
        drain.is_measured.set()
        busy = median_latency(other, other_sink, 500_000, folder)
        is_draining = drain.is_alive()
        drain.is_measured.clear()
        drain.join(900)
    finally:
        sink.stop()
        other_sink.stop()
        service.end()
    if not is_draining:
        raise RuntimeError("the backlog was gone before the other loop's latency was measured: take more --events")
    rate = events / drain.seconds
    first, last = drain.memory_mb[len(drain.memory_mb) // 4], drain.memory_mb[-1]
    return {
        "events": events,
        "plain_per_s": round(plain),
        "drain_per_s": round(rate),
        "drain_ratio": round(rate / plain, 2),
        "other_loop_quiet": quiet,
        "other_loop_while_draining": busy,
        "other_loop_p99_ratio": round(busy["p99_ms"] / quiet["p99_ms"], 2),
        "grown_mb": {name: round(last[name] - mb, 1) for name, mb in first.items() if name in last},
    }


def is_kept(result: dict[str, Any]) -> bool:
    return bool(result["drain_ratio"] >= MIN_DRAIN_RATIO and result["other_loop_p99_ratio"] <= MAX_P99_RATIO)


def main() -> None:
    row.run("drain", __doc__, measure, {"events": 1_000_000}, is_kept)


if __name__ == "__main__":
    main()
