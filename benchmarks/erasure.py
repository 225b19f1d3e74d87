"""Erasure of one person from a large SQLite ledger, beside other writers; and what `secure_delete` costs per event.

    python -m benchmarks.erasure [--events 1000000] [--person 1000] [--pairs 6] [--reports 10000] [--out FOLDER]

The ledger has one message for each ten events, and one delivery with an attempt for each event. `hold_ms` is the time
for which a transaction of the erasure kept the writer, without its fsync. `search` reads returned mails that matched
messages to others, in a process of its own; one in a hundred names the person as a forwarding address. CPU time is that
of this process. The pairs record the same events and outcomes with and without `secure_delete`, in turn, into new
ledgers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.port import RequestErasure
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import Advance, ErasureAction, ErasureStep, Found
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.mails import MailsAction
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.writer import Connect, SQLiteLedgerWriter
from actors.ledger.store_connection import Row, StoreConnection
from actors.returned_mail.searcher import AddressSearcher
from benchmarks.bench_ledger import FIELDS, START_MS, batches
from benchmarks.row import run
from domain.account import Account
from domain.delivery import AttemptOutcome
from domain.erasure import Counts, RunningErasure, StepName, digest_key, person_digest
from domain.errors import StaleRoutes
from domain.ledger import stored_events
from domain.message import Message
from domain.reports.intake import ReportState, further_id
from domain.tracking import EventToRecord, ReportToRecord
from domain.values import DeliveryState

ACCOUNT: Final = UUID(int=7)
PERSON: Final = "john.smith@example.com"
KEY: Final = digest_key("ab" * 16)
EVENTS_PER_MESSAGE: Final = 10
ROWS_AT_ONCE: Final = 20_000
#: Seconds for which other writers are measured without an erasure.
QUIET_S: Final = 3.0


class Timed:
    """An `ErasureStep` that notes how long each of its parts takes."""

    def __init__(self, step: ErasureStep) -> None:
        self.name = step.name
        self._step = step
        self.find_s: list[float] = []
        self.hold_s: list[float] = []

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        began_s = time.perf_counter()
        found = self._step.find(connection, erasure, limit)
        self.find_s.append(time.perf_counter() - began_s)
        return found

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        began_s = time.perf_counter()
        counts = self._step.apply(cursor, erasure, rows)
        self.hold_s.append(time.perf_counter() - began_s)
        return counts


class TimedSearch:
    """The step of returned mails, with the time that it takes."""

    name = StepName.MAILS

    def __init__(self, step: MailsAction) -> None:
        self._step = step
        self.took_s = 0.0

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        began_s = time.perf_counter()
        advance = await self._step.advance(erasures)
        self.took_s += time.perf_counter() - began_s
        return advance


#: A notification of usual length: words, delivery status, and the returned mail.
_MAIL: Final = """\
From: MAILER-DAEMON@mx.example.net
To: b-{number}@bounces.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain; charset=utf-8

<{forward}>: host mx.example.net said: 550 5.1.1 unknown (expanded from <someone.{number}@example.com>)

--b
Content-Type: message/delivery-status

Final-Recipient: rfc822; someone.{number}@example.com
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

To: someone.{number}@example.com
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

{body}
--b--
"""
_BODY: Final = '<p>Hello, this is our newsletter with <a href=3D"https://example.com/offer">an offer</a>.</p>\n' * 50


async def fill_reports(writer: SQLiteLedgerWriter, number: int) -> None:
    """Records returned mails that matched messages of others."""
    for first in range(0, number, 200):
        made = []
        for n in range(first, min(first + 200, number)):
            id_ = (START_MS + n).to_bytes(6, "big") + b"\x70\x01" + n.to_bytes(8, "big")
            forward = PERSON if n % 100 == 0 else f"forward.{n}@example.net"
            mime = _MAIL.format(number=n, forward=forward, body=_BODY)
            body = json.dumps({"recipient": f"someone.{n}@example.com", "code": "550"}).encode()
            failure = EventToRecord(id_, 1, "failure", 1, None, START_MS, body, [])
            bounce = EventToRecord(further_id(id_, 1), 1, "bounce", 1, None, START_MS, body, [], mime)
            made.append(ReportToRecord(id_, 1, id_ * 2, "mail", "failed", int(ReportState.MATCHED), [failure, bounce]))
        await writer.record_events(1, [], made)


def fill(path: Path, events: int, of_person: int) -> None:
    """Generates a ledger, without its writer, which would take much longer."""
    every = events // of_person
    body = json.dumps(FIELDS)
    with closing(open_writer(path)) as ledger:
        ledger.execute("PRAGMA synchronous = OFF")
        for first in range(0, events, ROWS_AT_ONCE):
            numbers = range(first, min(first + ROWS_AT_ONCE, events))
            ids = {n: (START_MS + n // 5).to_bytes(6, "big") + b"\x70\x00" + n.to_bytes(8, "big") for n in numbers}
            ledger.execute("BEGIN")
            _insert_messages(ledger, numbers, every)
            state = {"account_no": 1, "type": "click", "time_ms": START_MS, "fields": body}
            ledger.executemany(
                "INSERT INTO stored_events VALUES (?, 1, 'tracking-event.recorded', ?)",
                [(ids[n].hex(), json.dumps({**state, "message_key": message_of(n)}).encode()) for n in numbers],
            )
            ledger.executemany("INSERT INTO events VALUES (1, ?, 2, ?)", [(ids[n], message_of(n)) for n in numbers])
            ledger.executemany(
                "INSERT INTO deliveries VALUES (?, 1, ?, 2, 1, 1, ?, 0, 0)",
                [(n + 1, ids[n], START_MS + n // 5) for n in numbers],
            )
            ledger.executemany(
                "INSERT INTO attempts VALUES (?, 1, ?, 12, 200, NULL, 'ok', '203.0.113.9', 2, 'Server: nginx')",
                [(n + 1, START_MS) for n in numbers],
            )
            ledger.execute("COMMIT")
        ledger.execute("UPDATE delivery_ids SET last_id = ?", (events,))
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def message_of(event: int) -> int:
    return 1 + event // EVENTS_PER_MESSAGE


def _insert_messages(ledger: sqlite3.Connection, numbers: range, every: int) -> None:
    """Registers the messages of these events; the person's are spread over the whole ledger."""
    for key in dict.fromkeys(map(message_of, numbers)):
        recipient = PERSON if key % every == 0 else f"someone.{key * 7919 % 100_003}@example.com"
        message = Message.register(
            account_id=ACCOUNT,
            account_no=1,
            message_id=f"m-{key}",
            key=key,
            recipient=recipient,
            tags=["newsletter", "spring"],
            mailing="m-1",
            database=None,
            profile=None,
            links=[FIELDS["original"]],  # type: ignore[list-item]
            at_ms=START_MS,
        )
        [stored] = stored_events(message)
        ledger.execute("INSERT INTO stored_events VALUES (?, 1, ?, ?)", (message.id.hex, stored.topic, stored.state))
        columns = (key, 1, f"m-{key}", recipient, '["newsletter","spring"]', "m-1", None, None, START_MS, None)
        ledger.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '[]')", (*columns, recipient)
        )


class OtherWriter:
    """Records one event after the other, and notes how long each takes."""

    def __init__(self, writer: SQLiteLedgerWriter) -> None:
        self._writer = writer
        self._routes_version = 1
        self.took_ms: list[float] = []

    async def write_until(self, is_over: asyncio.Event) -> None:
        body = json.dumps(FIELDS).encode()
        while not is_over.is_set():
            event = EventToRecord(os.urandom(16), 1, "click", 0, None, START_MS, body, [1])
            began_s = time.perf_counter()
            try:
                await self._writer.record_events(self._routes_version, [event])
            except StaleRoutes as exc:
                self._routes_version = exc.current_version
            self.took_ms.append((time.perf_counter() - began_s) * 1000)
            await asyncio.sleep(0.002)


def spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p99": round(ordered[int(len(ordered) * 0.99)], 2),
        "max": round(ordered[-1], 2),
        "number": len(ordered),
    }


async def erase(path: Path, reports: int) -> dict[str, Any]:
    """Erases the person beside other writers."""
    writer = SQLiteLedgerWriter(path)
    await fill_reports(writer, reports)
    store = writer.erasure_store
    search = TimedSearch(MailsAction(store, AddressSearcher()))
    timed = [Timed(MessagesStep(lambda: KEY)), Timed(EventsStep())]
    late: list[ErasureStep] = [MessagesStep(lambda: KEY, StepName.LATE_MESSAGES), EventsStep(StepName.LATE_EVENTS)]
    actions: list[ErasureAction] = [*(Batches(step, store) for step in timed), search]
    actions += [Batches(step, store) for step in late]
    actions.append(BytesAction(store, SQLiteByteClearing(path)))
    quiet, busy, is_over = OtherWriter(writer), OtherWriter(writer), asyncio.Event()
    asyncio.get_running_loop().call_later(QUIET_S, is_over.set)
    await quiet.write_until(is_over)
    is_over = asyncio.Event()
    others = asyncio.create_task(busy.write_until(is_over))
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await writer.change_erasures(
        RequestErasure(id="ers_1", account_no=1, person=PERSON, digest=person_digest(KEY, PERSON))
    )
    runner = ErasureRunner(actions, store)
    while await runner.advance():
        pass
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    is_over.set()
    await others
    [row] = store.connection.rows("SELECT messages, events, completed_at_ms IS NOT NULL, mails FROM erasures")
    await writer.close()
    holds = [each * 1000 for step in timed for each in step.hold_s]
    found_s = sum(sum(step.find_s) for step in timed)
    return {
        "redacted": {"messages": row[0], "events": row[1], "mails": row[3], "is_complete": bool(row[2])},
        "work_s": round(found_s + sum(holds) / 1000, 3),
        "took_s": round(took_s, 3),
        "search": {"reports": reports, "took_s": round(search.took_s, 3)},
        "cpu_s_with_other_writers": round(cpu_s, 3),
        "hold_ms": spread(holds),
        "other_writers_ms": {"before": spread(quiet.took_ms), "during": spread(busy.took_ms)},
    }


async def record(path: Path, events: int, connect: Connect) -> float:
    """CPU seconds to record events and their outcomes."""
    writer = SQLiteLedgerWriter(path, connect=connect)
    made = batches(events, 200, 1)
    began_s = time.process_time()
    for batch in made:
        recorded = await writer.record_events(1, batch)
        ids = [id_ for ids in recorded.delivery_ids for id_ in ids]
        await writer.record_outcomes(
            [AttemptOutcome(i, 1, START_MS, 12, 200, None, "ok", "", DeliveryState.DELIVERED, 0) for i in ids]
        )
    took_s = time.process_time() - began_s
    await writer.close()
    return took_s


def open_without(path: Path) -> sqlite3.Connection:
    """A writer's connection without `secure_delete`."""
    connection = open_writer(path)
    connection.execute("PRAGMA secure_delete = OFF")
    return connection


def compare(folder: Path, pairs: int, events: int) -> dict[str, Any]:
    """Microseconds of CPU time per event with and without `secure_delete`."""
    kinds: dict[str, Connect] = {"on": open_writer, "off": open_without}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(pairs):
        for name in ("on", "off") if number % 2 else ("off", "on"):
            path = folder / f"{name}-{number}.sqlite"
            found[name].append(asyncio.run(record(path, events, kinds[name])) / events * 1e6)
            path.unlink()
    ratios = [on / off for on, off in zip(found["on"], found["off"], strict=True)]
    return {
        "cpu_us_per_event": {name: round(statistics.median(each), 2) for name, each in found.items()},
        "ratio_of_pairs": [round(ratio, 3) for ratio in ratios],
        "median_ratio": round(statistics.median(ratios), 3),
        "ratio_of_sums": round(sum(found["on"]) / sum(found["off"]), 3),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    path = folder / "ledger.sqlite"

    async def prepare() -> None:
        writer = SQLiteLedgerWriter(path)
        await writer.append(stored_events(Account.open(ACCOUNT, "Shop", START_MS)))
        await writer.close()

    cost = compare(folder, options.pairs, 20_000)
    asyncio.run(prepare())
    fill(path, options.events, options.person)
    return {
        "file_mib": path.stat().st_size >> 20,
        "erasure": asyncio.run(erase(path, options.reports)),
        "secure_delete": cost,
    }


if __name__ == "__main__":
    run("erasure", __doc__, measure, {"events": 1_000_000, "person": 1_000, "pairs": 6, "reports": 10_000})
