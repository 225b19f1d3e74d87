"""Group commit of the ledger's writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from actors.ledger.group_commit import GroupCommit
from actors.ledger.session import WorkResult
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.session import SQLiteSession
from domain.errors import ConcurrentWrite, NotFound, SessionLost, StoreError, StoreUnavailable

Work = Callable[[sqlite3.Cursor], Any]


class RecordedDatabase:
    """A file with a table of unique numbers, which records the statements."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: list[str] = []
        self.connections = 0
        with open_writer(path) as connection:
            connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT")
        connection.close()

    def connect(self) -> SQLiteSession:
        connection = open_writer(self.path)
        connection.set_trace_callback(self.statements.append)
        self.connections += 1
        return SQLiteSession(connection)

    def committed(self) -> list[int]:
        connection = sqlite3.connect(self.path)
        try:
            return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]
        finally:
            connection.close()


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedDatabase:
    return RecordedDatabase(tmp_path / "numbers.sqlite")


def insert(n: object) -> Work:
    return lambda cursor: cursor.execute("INSERT INTO numbers VALUES (?) RETURNING n", (n,)).fetchone()[0]


def failing(error: Exception) -> Work:
    def work(cursor: sqlite3.Cursor) -> None:
        insert(99)(cursor)
        raise error

    return work


async def during_a_slow_commit(commits: GroupCommit, requests: list[tuple[Work, int]]) -> list[Any]:
    """Runs requests that all arrive while an earlier one is being written."""
    started, go_on = Event(), Event()

    def slow(_: sqlite3.Cursor) -> None:
        started.set()
        assert go_on.wait(10)

    first = asyncio.create_task(commits.run(slow, 1))
    await asyncio.to_thread(started.wait, 10)
    tasks = [asyncio.create_task(commits.run(work, rows)) for work, rows in requests]
    await asyncio.sleep(0)
    go_on.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_requests_that_wait_share_a_commit(recorded: RecordedDatabase) -> None:
    """Requests that arrive during a commit share the next one, in order, and each gets its own answer."""

    async def scenario() -> list[Any]:
        commits = GroupCommit(recorded.connect)
        answers = await during_a_slow_commit(commits, [(insert(n), 1) for n in range(50)])
        await commits.close()
        return answers

    assert asyncio.run(scenario()) == list(range(50))
    assert recorded.statements.count("COMMIT") == 2
    assert recorded.committed() == list(range(50))


def test_a_commit_is_bounded(recorded: RecordedDatabase) -> None:
    """A commit has at most the allowed number of rows, unless a single request has more."""

    async def scenario() -> None:
        commits = GroupCommit(recorded.connect, max_commit_rows=10)
        await during_a_slow_commit(commits, [(insert(n), rows) for n, rows in enumerate([4, 6, 5, 30, 5])])
        await commits.close()

    asyncio.run(scenario())

    assert recorded.statements.count("COMMIT") == 1 + 4


def test_a_patient_request_shares_the_next_commit(recorded: RecordedDatabase) -> None:
    """It needs no commit of its own, for which others would wait; and none is delayed at the end."""

    async def scenario() -> list[int]:
        commits = GroupCommit(recorded.connect, patience_s=60)
        patient = [asyncio.create_task(commits.run(insert(n), 1, is_patient=True)) for n in range(3)]
        await asyncio.sleep(0)
        await commits.run(insert(3), 1)
        last = asyncio.create_task(commits.run(insert(4), 1, is_patient=True))
        await asyncio.sleep(0)
        await commits.close()
        return await asyncio.gather(*patient, last)

    assert asyncio.run(scenario()) == [0, 1, 2, 4]
    assert recorded.statements.count("COMMIT") == 2
    assert recorded.committed() == list(range(5))


def test_patience_ends(recorded: RecordedDatabase) -> None:
    """A patient request is written without any other."""

    async def scenario() -> int:
        commits = GroupCommit(recorded.connect, patience_s=0.01)
        answer: int = await commits.run(insert(1), 1, is_patient=True)
        await commits.close()
        return answer

    assert asyncio.run(scenario()) == 1


def test_waiting_rows_are_bounded(recorded: RecordedDatabase) -> None:
    """A request that would exceed the limit of waiting rows is refused at once; waiting ones are written."""

    async def scenario() -> list[Any]:
        commits = GroupCommit(recorded.connect, max_waiting_rows=10)
        answers = await during_a_slow_commit(commits, [(insert(1), 50), (insert(2), 1)])
        answers += await during_a_slow_commit(commits, [(insert(3), 5), (insert(4), 5), (insert(5), 1)])
        await commits.close()
        return answers

    answers = asyncio.run(scenario())

    assert [type(a) for a in answers] == [int, StoreUnavailable, int, int, StoreUnavailable]
    assert recorded.committed() == [1, 3, 4]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFound("no such thing"), NotFound),
        (KeyError("bug"), KeyError),
        (sqlite3.IntegrityError("UNIQUE"), ConcurrentWrite),
        (sqlite3.DataError("too big"), StoreError),
        (sqlite3.ProgrammingError("type not supported"), StoreError),
    ],
)
def test_a_failed_request_affects_no_other(
    recorded: RecordedDatabase, error: Exception, expected: type[Exception]
) -> None:
    """An error of a request undoes only that request, not the others of its commit."""

    async def scenario() -> list[Any]:
        commits = GroupCommit(recorded.connect)
        answers = await during_a_slow_commit(commits, [(insert(1), 1), (failing(error), 1), (insert(2), 1)])
        await commits.close()
        return answers

    first, second, third = asyncio.run(scenario())

    assert (first, type(second), third) == (1, expected, 2)
    assert error in (second, second.__cause__)
    assert recorded.committed() == [1, 2]
    assert recorded.connections == 1


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("malformed"), sqlite3.InternalError("?")],
)
def test_a_failing_store_fails_the_whole_commit(recorded: RecordedDatabase, error: Exception) -> None:
    """If the store fails, nothing of the commit is written, all callers may retry, and a new connection is made."""

    async def scenario() -> list[Any]:
        commits = GroupCommit(recorded.connect)
        answers = await during_a_slow_commit(commits, [(insert(1), 1), (failing(error), 1), (insert(2), 1)])
        answers.append(await commits.run(insert(3), 1))
        await commits.close()
        return answers

    *refused, later = asyncio.run(scenario())

    assert [StoreUnavailable] * 3 == [type(e) for e in refused]
    assert [error] * 3 == [e.__cause__ for e in refused]
    assert later == 3
    assert recorded.committed() == [3]
    assert recorded.connections == 2


def test_a_store_that_cannot_be_opened_is_tried_again(recorded: RecordedDatabase) -> None:
    """Requests fail while no connection can be made, and succeed as soon as one can."""
    broken = False

    def connect() -> SQLiteSession:
        if broken:
            raise sqlite3.OperationalError("unable to open database file")
        return recorded.connect()

    async def scenario() -> list[Any]:
        nonlocal broken
        commits = GroupCommit(connect)
        broken = True
        answers = [
            (await asyncio.gather(commits.run(work, 1), return_exceptions=True))[0]
            for work in (failing(sqlite3.OperationalError("gone")), insert(1))
        ]
        broken = False
        answers.append(await commits.run(insert(2), 1))
        await commits.close()
        return answers

    answers = asyncio.run(scenario())

    assert [type(a) for a in answers] == [StoreUnavailable, StoreUnavailable, int]


def test_a_cancelled_caller_affects_no_other(recorded: RecordedDatabase) -> None:
    """A cancelled caller does not affect the answers of others."""

    async def scenario() -> tuple[Any, ...]:
        commits = GroupCommit(recorded.connect)
        go_on = Event()
        slow = asyncio.create_task(commits.run(lambda _: go_on.wait(10), 1))
        leaver, stayer = (asyncio.create_task(commits.run(insert(n), 1)) for n in (1, 2))
        await asyncio.sleep(0)
        leaver.cancel()
        go_on.set()
        answers = await asyncio.gather(slow, leaver, stayer, return_exceptions=True)
        await commits.close()
        return answers

    slow, leaver, stayer = asyncio.run(scenario())

    assert (slow, stayer) == (True, 2)
    assert isinstance(leaver, asyncio.CancelledError)


def test_close_writes_accepted_requests(recorded: RecordedDatabase) -> None:
    """Closing writes everything that waits and then refuses new requests; closing again does nothing."""

    async def scenario() -> list[Any]:
        commits = GroupCommit(recorded.connect)
        tasks = [asyncio.create_task(commits.run(insert(n), 1)) for n in range(20)]
        await asyncio.sleep(0)
        await asyncio.gather(commits.close(), commits.close())
        with pytest.raises(StoreUnavailable):
            await commits.run(insert(99), 1)
        return await asyncio.gather(*tasks)

    assert asyncio.run(scenario()) == list(range(20))
    assert recorded.committed() == list(range(20))


def test_an_ended_event_loop_affects_no_other(recorded: RecordedDatabase) -> None:
    """Answers for an event loop that has ended are dropped, and other loops are still served."""
    go_on = Event()
    commits = GroupCommit(recorded.connect)

    async def leave() -> None:
        task = asyncio.create_task(commits.run(lambda _: go_on.wait(10), 1))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    go_on.set()

    async def stay() -> int:
        answer: int = await commits.run(insert(7), 1)
        await commits.close()
        return answer

    assert asyncio.run(stay()) == 7


def test_a_clean_close_leaves_one_whole_file(recorded: RecordedDatabase, tmp_path: Path) -> None:
    """After closing, the file is complete without its write-ahead log, even if others have it open."""

    async def scenario() -> None:
        commits = GroupCommit(recorded.connect)
        await commits.run(insert(1), 1)
        await commits.close()

    reader = sqlite3.connect(recorded.path)
    try:
        reader.execute("SELECT * FROM numbers").fetchall()
        asyncio.run(scenario())
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(recorded.path.read_bytes())
        with closing(sqlite3.connect(copy)) as copied:
            assert copied.execute("SELECT n FROM numbers").fetchall() == [(1,)]
        assert recorded.path.with_name(f"{recorded.path.name}-wal").stat().st_size == 0
    finally:
        reader.close()


class BreakingSession:
    """A session that loses its connection in the commits with these numbers, counted over all sessions."""

    numbers = 0

    def __init__(self, lost: set[int]) -> None:
        self._lost = lost

    def commit(self, works: Sequence[Work]) -> list[WorkResult]:
        type(self).numbers += 1
        if self.numbers in self._lost:
            raise SessionLost("the connection ended")
        return [WorkResult("done") for _ in works]

    def finish(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("lost", "outcomes"),
    [
        ({1}, ["lost", "done", "done"]),
        ({2}, ["done", "done", "done"]),
        ({2, 3}, ["done", "lost", "done"]),
        ({2, 4}, ["done", "done", "done"]),
    ],
)
def test_a_kept_session_that_was_lost_is_replaced_once(
    monkeypatch: pytest.MonkeyPatch, lost: set[int], outcomes: list[str]
) -> None:
    """A new session that is lost as well is an error: the store is failing."""
    monkeypatch.setattr(BreakingSession, "numbers", 0)

    async def scenario() -> list[str]:
        commits = GroupCommit(lambda: BreakingSession(lost))
        found: list[str] = []
        for n in range(3):
            try:
                found.append(await commits.run(insert(n), 1))
            except StoreUnavailable:
                found.append("lost")
        await commits.close()
        return found

    assert asyncio.run(scenario()) == outcomes
