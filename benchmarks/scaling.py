"""What each process spends on a click, by the number of enrichment actors and of loops: what bounds a bigger machine.

    python -m benchmarks.scaling [--clicks 20000] [--out benchmarks/results]

Each row is a service of its own: clicks of one account are sent as fast as they are answered, each owed to every loop.
A rate is clicks divided by the time from the first request to the last POST; processor time is that of all processes
of a kind, divided by the clicks (of loops: by the deliveries). Each loop has a process of its own when it is measured.
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

#: (enrichment actors, loops).
ROWS = ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (1, 8), (2, 8))
ROLES = ("front", "gateway", "enricher", "ledger", "loop", "host", "raylet", "gcs", "supervisor")
WARM_UP = 2_000


def cpu_s(service: Service) -> dict[str, float]:
    """Processor time so far of each kind of process, seconds."""
    used = {}
    for role in ROLES:
        times = [process.cpu_times() for process in service.processes(role) if process.is_running()]
        used[role] = sum(t.user + t.system for t in times)
    return used


def arrived(sinks: list[Sink], number: int) -> bool:
    return all(sink.stats()["unique"] >= number for sink in sinks)


def one(enrichers: int, loops: int, clicks: int, folder: Path) -> dict[str, Any]:
    """One row: a service with so many enrichment actors and loops, each loop with a handler of its own."""
    sinks = [Sink().start() for _ in range(loops)]
    service = Service(folder / f"data-{enrichers}-{loops}", FEEDBACK_LOOPS_ENRICHERS=str(enrichers))
    try:
        service.start()
        account = service.account()
        for sink in sinks:
            account.loop(sink)
        send(service.port, account.click_paths(WARM_UP), folder)
        eventually(lambda: arrived(sinks, WARM_UP), 120, "the warm-up was POSTed", 0.2)
        settle(service)  # each loop has a process of its own by then
        paths = account.click_paths(clicks, first=WARM_UP)
        for sink in sinks:
            sink.tell("reset")
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
