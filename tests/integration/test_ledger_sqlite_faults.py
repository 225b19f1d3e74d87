"""The SQLite ledger under crashes, locks and full disks."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import Connect, SQLiteLedgerWriter
from domain.errors import StoreUnavailable
from domain.tracking import EventToRecord
from tests.contract.ledger_facts import FakeClock, Store, Tenant, event, outcome
from tests.contract.sqlite_store import read_log, read_models


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@contextmanager
def ledger(path: Path, connect: Connect = open_writer) -> Iterator[Store]:
    writer = SQLiteLedgerWriter(path, FakeClock(), connect)
    reader = SQLiteLedgerReader(path)

    def another() -> Any:
        raise NotImplementedError("one is enough here")

    yield Store(writer, reader, FakeClock(), partial(read_log, path), partial(read_models, path), another, another)
    asyncio.run(writer.close())
    reader.close()


def big_event(tenant: Tenant) -> EventToRecord:
    return event(tenant, fields={"filler": "x" * 20_000})


@pytest.mark.parametrize("acknowledged", [1, 40])
def test_a_kill_loses_nothing_acknowledged(path: Path, acknowledged: int) -> None:
    """After kill -9 during writes, everything that was answered is stored; a batch is whole or missing (I1)."""
    command = [sys.executable, "-m", "tests.integration.write_until_killed", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    promised = {event_id for line in lines if line.endswith("\n") for event_id in line.split()}

    with ledger(path), closing(sqlite3.connect(path)) as connection:
        kept = [o.hex() for (o,) in connection.execute("SELECT event_id FROM events")]
        owed = [o.hex() for (o,) in connection.execute("SELECT event_id FROM deliveries")]
        stored = [o for (o,) in connection.execute("SELECT originator_id FROM stored_events")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert promised
    assert promised <= set(kept)
    assert sorted(kept) == sorted(owed) == sorted(stored)
    assert len(kept) % 10 == 0


@pytest.mark.parametrize("steps", [1, 20])
def test_a_kill_during_a_replay_repeats_and_forgets_nothing(path: Path, steps: int) -> None:
    """After kill -9 during a replay, its position matches the requeued deliveries, and it continues."""
    with ledger(path) as store:
        tenant = store.account()
        loop = store.active_loop(tenant)
        made = [event(tenant, loop_nos=[loop.no]) for _ in range(3000)]
        ids = [i for of_event in store.record(*made).delivery_ids for i in of_event]
        store.outcomes(*(outcome(i, state=2, status=500) for i in ids))
        started = store.replay(loop.no)

    command = [sys.executable, "-m", "tests.integration.replay_until_killed", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        promised = [child.stdout.readline() for _ in range(steps)][-1]
        child.send_signal(signal.SIGKILL)
        child.stdout.read()

    with ledger(path) as store:
        left = store.reader.running_replay(loop.no)
        assert left is not None
        given_back = store.reader.due_deliveries(loop.no, 2**60, 10_000, [])
        assert int(promised) <= left.done == len(given_back) < 3000
        assert store.advance(started.id, 3000).done == 3000
        assert sorted(d.delivery_id for d in store.reader.due_deliveries(loop.no, 2**60, 10_000, [])) == ids


def test_a_locked_file_is_unavailable_until_it_is_free(path: Path) -> None:
    """Calls raise `StoreUnavailable` while another process holds the write lock, and work afterwards."""
    with ledger(path, partial(open_writer, lock_timeout_s=0.05)) as store, closing(open_writer(path)) as other:
        tenant = store.account()
        made = event(tenant)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as refused:
            store.record(made)
        assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
        other.execute("ROLLBACK")

        assert store.record(made).duplicates == []


def test_a_file_that_is_locked_at_the_start_is_unavailable(path: Path) -> None:
    """A ledger started on a locked file works as soon as the lock is free."""

    async def scenario() -> None:
        with closing(open_writer(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = SQLiteLedgerWriter(path, connect=partial(open_writer, lock_timeout_s=0.05))
            with pytest.raises(StoreUnavailable):
                await started.check()
            other.execute("ROLLBACK")
        await started.check()
        await started.close()

    asyncio.run(scenario())
    with ledger(path) as store:
        assert store.log() == []


def test_a_full_disk_loses_nothing(path: Path) -> None:
    """On a full disk all callers get an error; answered requests stay, and writing continues once there is room."""
    pages = 200

    def limited(path: Path) -> sqlite3.Connection:
        connection = open_writer(path)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with ledger(path, limited) as store:
        tenant = store.account()
        made = [big_event(tenant) for _ in range(1000)]
        kept: list[EventToRecord] = []
        with pytest.raises(StoreUnavailable, match="full"):
            record_until_it_fails(store, made, kept)
        assert kept
        assert len(store.log()) == 2 + len(kept)
        pages = 100_000

        assert store.record(*made[: len(kept) + 9]).duplicates == list(range(len(kept)))


def record_until_it_fails(store: Store, made: list[EventToRecord], kept: list[EventToRecord]) -> None:
    for one in made:
        store.record(one)
        kept.append(one)


def test_a_failed_commit_stores_nothing(path: Path) -> None:
    """If the file cannot grow during a commit, all its callers get an error, and nothing of it is stored."""
    with ledger(path) as store:
        tenant = store.account()
        before = store.log()
        version = store.reader.routing_table().version
        batches = [[event(tenant)] for _ in range(5)]

        async def all_at_once() -> list[Any]:
            requests = [store.writer.record_events(version, batch) for batch in batches]
            return await asyncio.gather(*requests, return_exceptions=True)

        with no_file_longer_than(path.with_name("ledger.sqlite-wal").stat().st_size):
            answers = store.run(all_at_once())
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
        assert store.log() == before

        assert [a.duplicates for a in store.run(all_at_once())] == [[]] * 5


@contextmanager
def no_file_longer_than(size_bytes: int) -> Iterator[None]:
    """A context in which this process cannot write beyond a file size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_reader_waits_for_its_file(path: Path) -> None:
    """A reader created before the ledger is unavailable, creates no file, and works as soon as the ledger exists."""
    reader = SQLiteLedgerReader(path)
    with pytest.raises(StoreUnavailable):
        reader.running_loops()
    assert not path.exists()

    with ledger(path) as store:
        loop = store.active_loop(store.account())
        assert reader.running_loops() == [loop.id]
    reader.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        reader.running_loops()


def test_a_reader_cannot_write(path: Path) -> None:
    """A reader's connection cannot write."""
    with ledger(path) as store, pytest.raises(StoreUnavailable, match="readonly"):
        store.reader.rows("DELETE FROM meta")
    assert read_models(path)["meta"]


def test_a_reader_is_for_many_threads(path: Path) -> None:
    """Threads share one reader while the writer writes, and each sees whole commits."""
    with ledger(path) as store:
        tenant = store.account()
        loop = store.active_loop(tenant)
        version = store.reader.routing_table().version

        def read(_: int) -> bool:
            due = store.reader.due_deliveries(loop.no, 2**60, 1000, [])
            return len(due) % 10 == 0 and store.reader.routing_table().version == version

        async def write() -> None:
            for _ in range(30):
                batch = [event(tenant, loop_nos=[loop.no]) for _ in range(10)]
                await store.writer.record_events(version, batch)

        with ThreadPoolExecutor(4) as threads:
            seen = threads.map(read, range(100))
            store.run(write())
            assert all(seen)
        assert len(store.reader.due_deliveries(loop.no, 2**60, 1000, [])) == 300


def test_a_file_that_is_no_database_is_unavailable(path: Path) -> None:
    """A file that is not a ledger is refused, not overwritten."""
    path.write_bytes(b"not a database at all" * 100)

    async def scenario() -> None:
        started = SQLiteLedgerWriter(path)
        with pytest.raises(StoreUnavailable):
            await started.check()
        await started.close()

    asyncio.run(scenario())
    assert path.read_bytes().startswith(b"not a database")
