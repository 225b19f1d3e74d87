"""Benchmark of the ledger on SQLite and PostgreSQL: CPU and wall time per event, outcome and look-up.

    python -m benchmarks.bench_ledger [--events 50000] [--batch 200] [--dir DIR]

CPU time is that of this process: all of SQLite, including checkpoints, but only the client side of PostgreSQL, whose
server runs on the same machine. Wall time includes fsyncs: of SQLite to DIR, of PostgreSQL to the temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.writer import PostgresLedgerWriter
from actors.ledger.reader import LedgerReader
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from benchmarks.postgres import SERVER
from domain.delivery import AttemptOutcome
from domain.tracking import EventToRecord
from domain.values import DeliveryState
from tests.postgres import running_server

START_MS = 1_770_000_000_000
FIELDS = {
    "id": "msg_" + "0" * 32,
    "event": "evt_" + "1" * 32,
    "type": "click",
    "timestamp": "2026-02-02 02:40:00",
    "time": START_MS // 1000,
    "recipient": "john.smith@example.com",
    "tags": ["newsletter", "spring"],
    "mailing": "m-1",
    "ip": "198.51.100.7",
    "useragent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
    "original": "https://example.com/shop/item/123?utm_source=newsletter",
    "first": 1,
    "database": "1",
    "profile": "123",
    "fields": {"name": "John", "city": "Delft"},
    "interests": ["golf", "sailing"],
}


def batches(total: int, size: int, loops: int) -> list[list[EventToRecord]]:
    """Clicks on different messages, five per millisecond; every other one claims to be the first."""
    body = msgspec.json.encode(FIELDS)

    def event(n: int) -> EventToRecord:
        at_ms = START_MS + n // 5
        event_id = at_ms.to_bytes(6, "big") + b"\x70\x00" + os.urandom(8)
        first = n if n % 2 else None
        return EventToRecord(event_id, 1, "click", (at_ms << 21) + n % 5, first, at_ms, body, list(range(1, loops + 1)))

    return [[event(n) for n in range(start, min(start + size, total))] for start in range(0, total, size)]


@contextmanager
def measured(what: str, items: int) -> Iterator[None]:
    """Prints microseconds per item."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(f"{what:48} {cpu_s / items * 1e6:8.1f} µs CPU {wall_s / items * 1e6:8.1f} µs wall {items / wall_s:10,.0f}/s")


async def in_turn(work: list[Callable[[], Coroutine[Any, Any, Any]]], callers: int) -> list[Any]:
    """Runs the work with this number of concurrent callers, which share commits."""
    left = iter(enumerate(work))
    answers: dict[int, Any] = {}

    async def caller() -> None:
        for n, call in left:
            answers[n] = await call()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return [answers[n] for n in range(len(work))]


async def write(ledger: StoreWriter, events: int, batch: int, loops: int, callers: int) -> None:
    """Records events and then the outcomes of their deliveries."""
    made = batches(events, batch, loops)
    label = f"{loops} loop(s), {batch} a batch, {callers} caller(s)"
    with measured(f"record_events    {label}", events):
        answers = await in_turn([lambda b=b: ledger.record_events(1, b) for b in made], callers)  # type: ignore[misc]
    ids = [i for answer in answers for of_event in answer.delivery_ids for i in of_event]
    outcomes = [
        AttemptOutcome(i, 1, START_MS, 12, 200, None, "ok", "203.0.113.9", DeliveryState.DELIVERED, 0) for i in ids
    ]
    left_pending = outcomes[: len(outcomes) * 9 // 10]
    parts = [left_pending[n : n + batch] for n in range(0, len(left_pending), batch)]
    with measured(f"record_outcomes  {label}", len(left_pending)):
        await in_turn([lambda p=p: ledger.record_outcomes(p) for p in parts], callers)  # type: ignore[misc]
    await ledger.close()


def read(reader: LedgerReader, batch: int) -> None:
    """Reads due deliveries like a lane."""
    rounds = 50
    with measured(f"due_deliveries   {batch} a call", rounds * batch):
        for _ in range(rounds):
            assert len(reader.due_deliveries(1, 2**50, batch, range(1000))) == batch
    with measured("next_due_ms      one a call", rounds):
        for _ in range(rounds):
            reader.next_due_ms(1)
    reader.close()


def main() -> None:
    """Runs all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument(
        "--dir", type=Path, default=None, help="where to create the SQLite file (default: the temporary directory)"
    )
    options = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
    mixes = ((1, 1), (1, 4), (3, 4))
    for loops, callers in mixes:
        with tempfile.TemporaryDirectory(dir=options.dir) as directory:
            path = Path(directory) / "ledger.sqlite"
            asyncio.run(write(SQLiteLedgerWriter(path), options.events, options.batch, loops, callers))
            read(SQLiteLedgerReader(path), options.batch)
            print(f"{'file':48} {path.stat().st_size / options.events:8.0f} bytes an event")
    with running_server(**SERVER) as server:
        [(version,)] = server.run("SHOW server_version")
        print(f"PostgreSQL {version}")
        for loops, callers in mixes:
            url = server.new_database()
            asyncio.run(write(PostgresLedgerWriter(url), options.events, options.batch, loops, callers))
            read(PostgresLedgerReader(url), options.batch)
            [(size,)] = server.run("SELECT pg_database_size(current_database())", url.rpartition("/")[2])
            print(f"{'database':48} {size / options.events:8.0f} bytes an event")
    print(f"{'peak memory':48} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:8} MiB")


if __name__ == "__main__":
    main()
