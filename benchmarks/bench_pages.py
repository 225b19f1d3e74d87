"""Benchmark of the dashboard's pages with ten million deliveries.

    python -m benchmarks.bench_pages [--rows 10000000] [--dir DIR]

Uses the ledger of `bench_attempt_log`, with an account, a user, 20 loops and a day of statistics per minute for each.
Requests pages like a browser, and measures from the request to the last byte of the response. The service and the
reader are the real ones, in one process: without the network, the gateway's socket and Ray.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from actors.adapters.clock import SystemClock
from actors.adapters.passwords import Argon2Passwords
from actors.application.context import Context
from actors.application.service import ApplicationService
from actors.commands.command import Command
from actors.commands.metrics import Snapshot
from actors.commands.service import ClusterInventory
from actors.commands.users import CreateUser
from actors.ledger.rollups import COLUMNS
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from api.app import create_app
from benchmarks.bench_attempt_log import build
from domain.account import Account
from domain.errors import FeedbackLoopsError
from domain.feedback_loop import FeedbackLoop
from domain.key_set import KeySet
from domain.ledger import stored_events
from domain.loop_settings import LoopSettings
from domain.statistics import KEPT_MINUTES
from domain.tokens import TrackingTokens
from domain.values import id_text
from tests.keys import FixedKeys
from tests.unit.api.fake_api import FakeForwarder, FakeJournal, FakeSettings, FakeTracking

LOOPS: Final = 20
REPEATS: Final = 20
PASSWORD: Final = "correct horse battery"
HEADERS: Final = {"Origin": "http://bench.example"}


class InProcess:
    """A client whose actors are a single service in this process."""

    def __init__(self, service: ApplicationService) -> None:
        self._service = service

    async def close(self) -> None:
        """Does nothing: this client does not own the service."""

    async def record_intake(self, entries: list[bytes]) -> None:
        """Does nothing: there are no actors."""

    async def call(self, command: Command[Any]) -> Any:
        return await self._service.handle(command)


def loop(account_id: str) -> FeedbackLoop:
    made = FeedbackLoop.register(
        loop_id=uuid4(),
        account_no=1,
        account_id=account_id,
        url="https://example.com/hook",
        settings=LoopSettings(triggers=("open", "click")),
        verification_token="t" * 32,
        key_id=1,
        at_ms=1,
    )
    made.verify("https://example.com/proof.txt", 2)
    return made


async def fill(ledger: SQLiteLedgerWriter, path: Path) -> list[str]:
    """Writes the account, its loops, and their statistics per minute. Returns the loops' ids."""
    account = Account.open(uuid4(), "Bench", 1)
    account_id = id_text("acc", account.id)
    loops = [loop(account_id) for _ in range(LOOPS)]
    for aggregate in (account, *loops):
        await ledger.append(stored_events(aggregate))
    now = time.time_ns() // 60_000_000_000
    row = ", ".join("7" for _ in COLUMNS)
    connection = open_writer(path)
    for number in range(1, LOOPS + 1):
        connection.execute(
            f"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {KEPT_MINUTES})"
            f" INSERT INTO attempt_minutes SELECT {number}, {now} - i, {row} FROM n"
        )
    connection.execute(
        f"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {KEPT_MINUTES})"
        f" INSERT INTO event_minutes SELECT 1, {now} - i / 10, i % 10 + 1, 500 FROM n"
    )
    connection.close()
    return [id_text("fl", aggregate.id) for aggregate in loops]


async def measure(path: Path) -> None:
    ledger, reader = SQLiteLedgerWriter(path), SQLiteLedgerReader(path)
    loop_ids = await fill(ledger, path)

    async def no_problems() -> list[FeedbackLoopsError]:
        return []

    class NoMetrics:
        async def snapshot(self) -> Snapshot:
            return Snapshot([], [])

        async def cluster_inventory(self) -> ClusterInventory:
            return ClusterInventory(nodes=[], processes=[], process_count=0)

    nobody: Any = None
    service = ApplicationService(
        Context(
            ledger=ledger,
            reader=reader,
            clock=SystemClock(),
            random_bytes=os.urandom,
            keys=FixedKeys(),
            installation="0" * 16,
        ),
        recorder=nobody,
        loops=nobody,
        url_check=nobody,
        passwords=Argon2Passwords(FixedKeys()),
        problems=no_problems,
        metrics=NoMetrics(),
        installation_keys=nobody,
    )
    account = reader.loop(loop_ids[0])
    if account is None:
        raise RuntimeError("the loop is not there")
    await service.handle(CreateUser(email="a@b.example", password=PASSWORD, account_id=account.account_id))
    app = create_app(
        FakeSettings(),
        InProcess(service),
        TrackingTokens(KeySet.single(bytes(32))),
        FakeTracking(),
        FakeJournal([]),
        FakeForwarder([]),
        installation_keys=FixedKeys(),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench.example") as http:
        await http.post("/dashboard/sign-in", data={"email": "a@b.example", "password": PASSWORD}, headers=HEADERS)
        for name, page in (
            ("overview", "/"),
            ("loops", "/loops"),
            ("the loop with them all", f"/loops/{loop_ids[0]}"),
            ("its dead ones", f"/loops/{loop_ids[0]}?state=dead"),
            ("what it never had", f"/loops/{loop_ids[0]}?type=update"),
            ("one delivery", "/deliveries/dlv_5000000"),
            ("events", "/events"),
            ("account", "/account"),
        ):
            times = []
            for _ in range(REPEATS):
                began_s = time.perf_counter()
                answer = await http.get(f"/dashboard{page}")
                times.append((time.perf_counter() - began_s) * 1000)
            print(
                f"{name:24} {answer.status_code} {len(answer.content) / 1000:7.1f} kB"
                f"   p50 {statistics.median(times):7.1f} ms   max {max(times):7.1f} ms",
                flush=True,
            )
    reader.close()
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dir", type=Path, help="where to create the ledger (default: a temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        path = Path(directory) / "ledger.sqlite"
        build(path, options.rows)
        asyncio.run(measure(path))


if __name__ == "__main__":
    main()
