"""Benchmark of scaling: CPU time per click of each kind of process, by the number of enrichment actors and loops.

    python -m benchmarks.scaling [--clicks 20000] [--out benchmarks/results]

Each row starts a new service. Clicks of one account are sent as fast as they are answered, and every loop gets each of
them. A rate is the number of clicks divided by the time from the first request to the last POST. CPU time is that of
all processes of a kind, divided by the clicks (for loops: by the deliveries). Each loop has its own process by then.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks.loops import settle
from benchmarks.main_job import send
from tests.service import Service, Sink, eventually

#: Numbers of enrichment actors and loops.
ROWS = ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (1, 8), (2, 8))
ROLES = ("front", "gateway", "enricher", "ledger", "loop", "host", "raylet", "gcs", "supervisor")
WARM_UP = 2_000


def cpu_s(service: Service) -> dict[str, float]:
    """Returns the CPU time so far of each kind of process, in seconds."""
    used = {}
    for role in ROLES:
        times = [process.cpu_times() for process in service.processes(role) if process.is_running()]
        used[role] = sum(t.user + t.system for t in times)
    return used


def arrived(sinks: list[Sink], number: int) -> bool:
    return all(sink.stats()["unique"] >= number for sink in sinks)


def one(enrichers: int, loops: int, clicks: int, folder: Path) -> dict[str, Any]:
    """Measures one row: a service with this many enrichment actors and loops, each loop with its own handler."""
    sinks = [Sink().start() for _ in range(loops)]
    service = Service(folder / f"data-{enrichers}-{loops}", FEEDBACK_LOOPS_ENRICHERS=str(enrichers))
    try:
        service.start()
        account = service.account()
        for sink in sinks:
            account.loop(sink)
        send(service.port, account.click_paths(WARM_UP), folder)
        eventually(lambda: arrived(sinks, WARM_UP), 120, "the warm-up was POSTed", 0.2)
        settle(service)  # waits until each loop has its own process
        paths = account.click_paths(clicks, first=WARM_UP)
        for sink in sinks:
            sink.command("reset")
        before = cpu_s(service)
        result = send(service.port, paths, folder)
        eventually(lambda: arrived(sinks, clicks), 300, "every click was POSTed to every loop", 0.2)
        after = cpu_s(service)
        seconds = (max(sink.stats()["last_ns"] for sink in sinks) - result["first_ns"]) / 1e9
    finally:
        for sink in sinks:
            sink.stop()
        service.end()
    took_us = {role: (after[role] - before[role]) / clicks * 1e6 for role in ROLES}
    took_us["loop"] = (took_us["loop"] + took_us.pop("host")) / loops
    return {
        "enrichers": enrichers,
        "loops": loops,
        "clicks_per_s": round(clicks / seconds),
        "deliveries_per_s": round(loops * clicks / seconds),
        "cpu_us_per_click": {role: round(us, 1) for role, us in took_us.items()},
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = []
    for enrichers, loops in ROWS:
        rows.append(one(enrichers, loops, options.clicks, folder))
        print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


def main() -> None:
    row.run("scaling", __doc__, measure, {"clicks": 20_000})


if __name__ == "__main__":
    main()
