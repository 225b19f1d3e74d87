"""Benchmark of memory while events wait for a dead handler: it must not grow with the backlog.

    python -m benchmarks.memory [--events 200000] [--out benchmarks/results]

For each process of the service, prints its private memory when all events wait, and its growth since three tenths of
them did (by then, the store's page cache, which is bounded, is full). Exits with status 1 if a process grew by more
than `ALLOWED_MB`.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import row
from benchmarks.main_job import send
from tests.service import ROLES, Service, Sink, eventually, marked

ALLOWED_MB = 15.0
BATCH = 20_000
#: Patterns in the command line that identify the kind of a process; the first match counts.
SIGNS = {"local node": "actors.ray_runtime.local_node", **ROLES}


def private_mb(service: Service) -> dict[str, float]:
    """Returns the private memory of each process in MB, by role and pid."""
    found = {}
    for process in marked(service.mark):
        try:
            command = " ".join(process.cmdline())
            role = next((name for name, sign in SIGNS.items() if sign in command), "other")
            found[f"{role} {process.pid}"] = process.memory_full_info().uss / 1e6
        except psutil.Error:
            continue
    return found


def waiting(account: Any, loop_id: str) -> int:
    """Returns the number of events in the account's log, from the ledger's newest delivery."""
    page = account.call("GET", f"/v1/feedback-loops/{loop_id}/deliveries", params={"limit": 1}).json()
    return int(page["data"][0]["id"].removeprefix("dlv_")) if page["data"] else 0


def _waits(account: Any, loop_id: str, count: int) -> bool:
    return waiting(account, loop_id) >= count


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    events = options.events
    sink = Sink().start()
    service = Service(folder / "data")
    samples: list[dict[str, float]] = []
    try:
        service.start()
        account = service.account()
        loop = account.loop(sink)
        paths = account.click_paths(BATCH)
        sink.stop()  # from here on the handler is dead: connections are refused
        for done in range(BATCH, events + 1, BATCH):
            send(service.port, paths, folder)
            eventually(partial(_waits, account, loop["id"], done), 300, f"{done} events wait", 0.5)
            samples.append(private_mb(service))
            print(f"{done:,} events wait, {sum(samples[-1].values()):,.0f} MB in all", flush=True)
    finally:
        sink.stop()
        service.end()
    grown = {name: round(samples[-1][name] - mb, 1) for name, mb in samples[2].items() if name in samples[-1]}
    return {
        "events": events,
        "total_mb": [round(sum(sample.values())) for sample in samples],
        "private_mb": {name: round(mb, 1) for name, mb in samples[-1].items()},
        "grown_mb": grown,
    }


def main() -> None:
    row.run(
        "memory",
        __doc__,
        measure,
        {"events": 200_000},
        lambda result: max(result["grown_mb"].values()) <= ALLOWED_MB,
    )


if __name__ == "__main__":
    main()
