"""Clearing of the store's files after retention."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from actors.ledger.retention.clearing import AGAIN_MS, EVERY_MS, RetentionClearing
from actors.ledger.retention.task import Retention
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.schema import migrate
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import FakeClock
from tests.unit.actors.ledger.retention.test_task import CountingLedger, retention
from tests.unit.actors.ledger.test_sqlite_leftovers import TEXT, all_bytes, fill


class FakeClearing:
    """Fake `ByteClearing`, which counts."""

    outside: Sequence[str] = ()

    def __init__(self) -> None:
        self.times = 0
        self.problem: str | None = None

    def clear(self) -> str | None:
        self.times += 1
        return self.problem


def test_the_files_are_cleared_once_a_day_if_rows_were_deleted() -> None:
    """The first time an hour after the start; what a reader prevents is tried again an hour later."""
    fake, clock = FakeClearing(), FakeClock()
    clearing = RetentionClearing(lambda _rest: fake, clock)

    def times_after(ms: int, *, has_deleted: bool) -> int:
        clock.ms += ms
        asyncio.run(clearing.clear_if_due(has_deleted=has_deleted))
        return fake.times

    assert times_after(AGAIN_MS - 1, has_deleted=True) == 0
    assert times_after(1, has_deleted=False) == 1
    assert times_after(EVERY_MS, has_deleted=False) == 1
    assert times_after(1, has_deleted=True) == 2
    assert times_after(EVERY_MS - 1, has_deleted=True) == 2
    fake.problem = "readers"
    assert times_after(1, has_deleted=False) == 3
    assert times_after(AGAIN_MS - 1, has_deleted=False) == 3
    fake.problem = None
    assert times_after(1, has_deleted=False) == 4
    assert times_after(EVERY_MS, has_deleted=False) == 4


def test_copies_of_deleted_rows_are_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of retention that deletes rows leaves none of their bytes in the files, which stay in use."""
    path, clock, cleared = tmp_path / "ledger.sqlite", FakeClock(), asyncio.Event()
    with closing(open_writer(path)) as ledger:
        migrate(ledger)
        fill(ledger)
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert TEXT in path.read_bytes()

        class Observed(RetentionClearing):
            async def clear_if_due(self, *, has_deleted: bool) -> None:
                await super().clear_if_due(has_deleted=has_deleted)
                cleared.set()

        async def scenario() -> None:
            clearing = Observed(lambda rest: SQLiteByteClearing(path, rest=rest), clock)
            clock.ms += AGAIN_MS
            task = Retention(CountingLedger(10), clock, retention(CountingLedger(0))._days, clearing)
            task.start()
            async with asyncio.timeout(60):
                await cleared.wait()
            await task.stop()

        asyncio.run(scenario())
        assert TEXT not in all_bytes(path)
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_stop_ends_a_search() -> None:
    """A process that ends does not wait for a search of a large file."""
    is_searching = threading.Event()

    class Endless(FakeClearing):
        def __init__(self, rest: Callable[[], None]) -> None:
            super().__init__()
            self._rest = rest

        def clear(self) -> str | None:
            while True:
                is_searching.set()
                self._rest()

    async def scenario() -> None:
        clock = FakeClock()
        clearing = RetentionClearing(Endless, clock)
        clock.ms += AGAIN_MS
        work = asyncio.create_task(clearing.clear_if_due(has_deleted=True))
        assert await asyncio.to_thread(is_searching.wait, 60)
        clearing.stop()
        with pytest.raises(StoreUnavailable):
            await work

    asyncio.run(scenario())
