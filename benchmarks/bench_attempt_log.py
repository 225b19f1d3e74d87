"""Benchmark of the attempt log: time per page for a loop with ten million deliveries.

    python -m benchmarks.bench_attempt_log [--rows 10000000] [--dir DIR] [--plans]

Creates a ledger with the deliveries of one loop over thirty days, in the proportions of a busy loop: one attempt each
(eight for dead deliveries), 1 in 1,000 dead, 1 in 10,000 pending, 1 in 100,000 for an abuse report, and none for a
profile's `update`. Then reads pages of 50 with each filter, at the start, in the middle and near the end. The ledger
has no events, because no page reads them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

from actors.commands.accounts import Account
from actors.commands.deliveries import ListDeliveries
from actors.ledger.queries.deliveries import deliveries_statement
from actors.ledger.queries.pagination import encode_cursor
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.dialect import sqlite_sql
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.schema import migrate
from domain.event_catalogue.triggers import TRIGGER_CODES

START_MS: Final = 1_770_000_000_000
DAYS: Final = 30
LOOP_NO: Final = 1
PAGE: Final = 50
REPEATS: Final = 30
ACCOUNT: Final = Account(no=1, id="acc_1", name="Acme")
INDEXES: Final = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'deliveries' AND sql NOT NULL"

_NUMBERS: Final = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
DELIVERIES: Final = f"""{_NUMBERS}
    INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)
    SELECT i, {LOOP_NO}, randomblob(16),
      CASE WHEN i % 100000 = 7 THEN {TRIGGER_CODES["abuse"]} WHEN i / 10 % 4 = 0 THEN {TRIGGER_CODES["click"]}
        ELSE {TRIGGER_CODES["open"]} END,
      CASE WHEN i % 1000 = 3 THEN 2 WHEN i % 10000 = 5 THEN 0 ELSE 1 END,
      CASE WHEN i % 1000 = 3 THEN 8 WHEN i % 10000 = 5 THEN 0 ELSE 1 END,
      {START_MS} + i * {DAYS * 86_400_000} / :rows, 0 FROM n"""
ATTEMPTS: Final = f"""{_NUMBERS}
    INSERT INTO attempts (delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes)
    SELECT n.i, tried.value, {START_MS} + n.i * {DAYS * 86_400_000} / :rows, 12, 200, NULL, 'ok', '203.0.113.9', 2
    FROM n CROSS JOIN json_each(CASE WHEN n.i % 1000 = 3 THEN '[1,2,3,4,5,6,7,8]' ELSE '[1]' END) AS tried
    WHERE n.i % 10000 <> 5"""


@contextmanager
def timed(what: str) -> Iterator[None]:
    began_s = time.perf_counter()
    yield
    print(f"{what:32} {time.perf_counter() - began_s:8.1f} s", flush=True)


def build(path: Path, rows: int) -> None:
    """Creates the ledger. Creates the indexes last, because that is faster."""
    with closing(open_writer(path)) as connection:
        migrate(connection)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA temp_store = FILE")
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for what, statement in (("deliveries", DELIVERIES), ("attempts", ATTEMPTS)):
            with timed(f"made {what}"):
                connection.execute(statement, {"rows": rows})
        for name, sql in indexes:
            with timed(f"made {name}"):
                connection.execute(sql)
        connection.execute("PRAGMA journal_mode = WAL")


def queries(rows: int) -> Iterator[tuple[str, ListDeliveries]]:
    """All combinations of filters and places in the list."""
    month_ms = DAYS * 86_400_000
    week = {"since_ms": START_MS + month_ms // 4, "until_ms": START_MS + month_ms // 2}
    times: list[tuple[str, dict[str, int]]] = [("", {}), ("one week", week)]
    places = (("first", None), ("middle", 0.4), ("deep", 0.01))
    for state, type_, (when, limits), (place, share) in product(
        (None, "delivered", "dead", "pending"), (None, "click", "abuse", "update"), times, places
    ):
        cursor = None if share is None else encode_cursor([START_MS + int(month_ms * share), int(rows * share)])
        given: dict[str, Any] = {"state": state, "type": type_, "limit": PAGE, "cursor": cursor, **limits}
        label = f"{place:7} {state or 'any state':10} {type_ or 'any type':9} {when}"
        yield label, ListDeliveries(account=ACCOUNT, loop_id="", **given)


def page_ms(reader: SQLiteLedgerReader, query: ListDeliveries) -> tuple[float, float, int]:
    """Returns the time of a page at the first read and at the median, in ms, and its number of rows."""
    times = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        page = reader.list_deliveries(LOOP_NO, query)
        times.append((time.perf_counter() - began_s) * 1000)
    return times[0], statistics.median(times), len(page.data)


def plan(path: Path, query: ListDeliveries) -> list[str]:
    """Returns the steps of SQLite's query plan with their counts."""
    with closing(sqlite3.connect(path)) as connection:
        statement, params = deliveries_statement(LOOP_NO, query)
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sqlite_sql(statement)}", params)]
    return [f"{steps.count(step)} x {step}" for step in dict.fromkeys(steps)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dir", type=Path, help="where to create the file (default: the temporary directory)")
    parser.add_argument("--plans", action="store_true", help="print the plan of every page, not only of the widest")
    arguments = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, SQLite {sqlite3.sqlite_version}, {arguments.rows:,} deliveries"
    )
    with tempfile.TemporaryDirectory(prefix="feedback-loops-bench-", dir=arguments.dir) as directory:
        path = Path(directory) / "ledger.sqlite"
        build(path, arguments.rows)
        print(f"{'file':32} {path.stat().st_size / 1e9:8.2f} GB")
        print(f"\n{'page of ' + str(PAGE):42} {'cold ms':>8} {'median':>8} {'rows':>5}")
        slowest = 0.0
        with closing(SQLiteLedgerReader(path)) as reader:
            for label, query in queries(arguments.rows):
                first_ms, median_ms, found = page_ms(reader, query)
                slowest = max(slowest, median_ms)
                print(f"{label:42} {first_ms:8.2f} {median_ms:8.2f} {found:5}", flush=True)
                if arguments.plans:
                    print("    " + "\n    ".join(plan(path, query)))
        print(f"{'slowest median':42} {slowest:17.2f}")
        print("\nplan of a page of any state and any type:")
        print("    " + "\n    ".join(plan(path, ListDeliveries(account=ACCOUNT, loop_id=""))))


if __name__ == "__main__":
    main()
