"""Benchmark of ten to ten thousand loops in one service: start-up time, memory, and latency of events.

    python -m benchmarks.loops [--loops 10 100 1000 10000] [--rate 500] [--seconds 20] [--out benchmarks/results]

Before the service starts, the ledger's own writer creates the ledger: verified loops of one account, each for a
different tag, and one pending event for each. The service is ready when `/readyz` says so. All loops are served when
each has POSTed its pending event. Then clicks of random loops arrive at a steady rate. After that, memory is measured
for all processes of the service (PSS), so most loops have been awake by then.

While all loops are served, the oldest ones get their own processes, one by one. Latency is measured twice: during that
time (`starting`), and again when no process has been started for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psutil

from actors.adapters.uuid7 import UUID7s
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.settings.data_dir import DataDir
from api.http.authentication import key_hash
from benchmarks.main_job import send
from benchmarks.row import machine
from domain.account import Account as AccountAggregate
from domain.feedback_loop import FeedbackLoop
from domain.ledger import stored_events
from domain.loop_settings import LoopSettings
from domain.tracking import EventToRecord
from domain.values import id_text
from tests.service import Account, Service, Sink, eventually, marked

ACCOUNT = UUID(int=0xACC)
KEY = "key-of-the-benchmark"
AT_ONCE = 1000
SETTLED_S = 15.0


async def seed(path: Path, loops: int, url: str) -> None:
    """Writes the account, its loops, and an event for each loop."""
    ledger, reader = SQLiteLedgerWriter(path), SQLiteLedgerReader(path)
    now_ms = time.time_ns() // 1_000_000
    account = AccountAggregate.open(ACCOUNT, "Many", now_ms)
    account.issue_api_key(key_hash(KEY), now_ms)
    await ledger.append(stored_events(account))
    view = reader.account_by_key(key_hash(KEY))
    assert view is not None
    for first in range(0, loops, AT_ONCE):
        made = [_loop(n, view.no, url, now_ms) for n in range(first, min(first + AT_ONCE, loops))]
        await ledger.append(stored_events(*made))
    routes, ids = reader.routing_table(), UUID7s()
    events = [
        EventToRecord(ids.next(now_ms), view.no, "click", 0, None, now_ms, _fields(n), [route.loop_no])
        for n, route in enumerate(routes.routes)
    ]
    assert len(events) == loops
    for first in range(0, loops, AT_ONCE):
        await ledger.record_events(routes.version, events[first : first + AT_ONCE])
    reader.close()
    await ledger.close()


def _loop(number: int, account_no: int, url: str, now_ms: int) -> FeedbackLoop:
    loop = FeedbackLoop.register(
        uuid5(ACCOUNT, f"loop/{number}"),
        account_no=account_no,
        account_id=id_text("acc", ACCOUNT),
        url=url,
        settings=LoopSettings(triggers=("click",), tags=(f"loop-{number}",), signature="cavage"),
        verification_token="t" * 32,
        key_id=1,
        at_ms=now_ms,
    )
    loop.verify("a file", now_ms)
    return loop


def _fields(number: int) -> bytes:
    return json.dumps({"type": "click", "original": f"https://shop.example/?n={number}"}).encode()


def click_paths(account: Account, loops: int, count: int, first: int) -> list[str]:
    """Returns paths of clicks on messages of random loops. The targets are numbered from `first`."""
    chance = random.Random(first)

    def specs() -> Iterator[dict[str, Any]]:
        for number in range(first, first + count):
            link = f"https://shop.example/products?n={number}"
            tag = f"loop-{chance.randrange(loops)}"
            yield {"recipient": f"person{number}@example.com", "tags": [tag], "links": [link]}

    paths = []
    for message in account.messages(specs()):
        (link,) = message["links"].values()
        paths.append("/" + link.split("/", 3)[3])
    return paths


def latency(
    account: Account, sink: Sink, loops: int, rate: float, seconds: float, first: int, folder: Path
) -> dict[str, float]:
    """Returns the time from when a click was due to the arrival of its POST, in milliseconds."""
    count = int(rate * seconds)
    paths = click_paths(account, loops, count, first)
    sink.command("reset")
    due = send(account.service.port, paths, folder, rate)["times"]
    eventually(partial(_came, sink, count), 60, "every click was POSTed", 0.2)
    arrivals = sink.arrivals()
    took = sorted((arrivals[first + n] - at) / 1e6 for n, at in enumerate(due))
    share = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(took[min(int(len(took) * part), len(took) - 1)], 2) for name, part in share.items()}


def _came(sink: Sink, count: int) -> bool:
    return sink.stats()["unique"] >= count


def settle(service: Service) -> None:
    """Waits until no process for loops has been started for `SETTLED_S`."""
    count, since_s = processes(service), time.monotonic()
    while time.monotonic() - since_s < SETTLED_S:
        time.sleep(1)
        if (now := processes(service)) != count:
            count, since_s = now, time.monotonic()


def processes(service: Service) -> int:
    """Returns the number of processes that hold loops."""
    return len(service.processes("loop")) + len(service.processes("host"))


def memory_mb(service: Service) -> int:
    """Returns the PSS of all processes of the service."""
    total = 0.0
    for process in marked(service.mark):
        try:
            total += process.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return round(total)


def measure(loops: int, rate: float, seconds: float, folder: Path) -> dict[str, Any]:
    sink = Sink().start()
    service = Service(folder / "data", FEEDBACK_LOOPS_MASTER_KEY="5e" * 32)
    try:
        with DataDir.open(folder / "data") as data_dir:
            data_dir.init()
        asyncio.run(seed(folder / "data" / "ledger.sqlite", loops, sink.url))
        began_s = time.monotonic()
        service.start()
        ready_s = time.monotonic() - began_s
        eventually(partial(_came, sink, loops), 120, "each loop had the event that it was owed", 0.1)
        served_s = time.monotonic() - began_s
        account = Account(service, KEY)
        starting = latency(account, sink, loops, rate, seconds, 100_000, folder)
        settle(service)
        took = latency(account, sink, loops, rate, seconds, 200_000, folder)
        row = {"processes": processes(service), "memory_mb": memory_mb(service)}
    finally:
        service.end()
        sink.stop()
    times = {"ready_s": round(ready_s, 1), "all_served_s": round(served_s, 1)}
    return {"loops": loops, **times, **row, "rate": rate, **took, "starting": starting}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for loops in arguments.loops:
        with tempfile.TemporaryDirectory(prefix="feedback-loops-bench-") as folder:
            rows.append(measure(loops, arguments.rate, arguments.seconds, Path(folder)))
        print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        text = json.dumps({"machine": machine(), "command": "python -m benchmarks.loops", "rows": rows}, indent=2)
        (arguments.out / "loops.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
