"""The edge journal, on a real LMDB: durable, with shared commits, and never blocked by a faulty disk."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.adapters.uuid7 import UUID7s
from actors.commands.intake import encode_entry
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.lmdb_file import Removals
from api.journal.lmdb_store import LmdbStore, WriteResult
from domain.errors import StoreUnavailable
from domain.tracking import TrackingHit
from tests.paths import ROOT

MIB = 1 << 20
QUICK = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)


def run(path: Path, body: Callable[[Journal], Awaitable[None]], max_bytes: int = 8 * MIB, **limits: Any) -> None:
    """Runs `body` with a journal that is closed afterwards."""

    async def main() -> None:
        journal = Journal.open(path, max_bytes, JournalLimits(**limits) if limits else QUICK)
        try:
            await body(journal)
        finally:
            await journal.close()

    asyncio.run(main())


async def eventually(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.005)


async def append_all(journal: Journal, hits: list[bytes]) -> None:
    await asyncio.gather(*(journal.append(hit) for hit in hits))


def hits(first: int, last: int) -> list[bytes]:
    return [b"hit %d" % n for n in range(first, last + 1)]


class GatedStore(LmdbStore):
    """A real store whose writes wait until they are released, and may be made to fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 8 * MIB)
        self.writes: list[int] = []
        self.passes: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.arrived = threading.Semaphore(0)

    def write(
        self, next_seq: int, hits: Any, removals: Removals, reports: Any = (), *, is_last: bool = False
    ) -> WriteResult:
        self.writes.append(len(hits))
        self.arrived.release()
        if problem := self.passes.get():
            return WriteResult(are_hits_saved=False, are_removals_done=False, entries=0, problem=problem)
        return super().write(next_seq, hits, removals, reports, is_last=is_last)

    async def wait_for_write(self) -> None:
        await asyncio.to_thread(self.arrived.acquire)


def test_hits_are_read_back_in_order_after_a_restart(tmp_path: Path) -> None:
    """A reopened journal has all appended hits in order, with increasing numbers."""

    async def write(journal: Journal) -> None:
        for hit in hits(1, 5):
            await journal.append(hit)

    async def read(journal: Journal) -> None:
        assert journal.read(0, 100) == list(enumerate(hits(1, 5), start=1))
        assert journal.read(2, 2) == [(3, b"hit 3"), (4, b"hit 4")]
        assert journal.read(5, 10) == []
        assert journal.depth == 5

    run(tmp_path / "j", write)
    run(tmp_path / "j", read)


def test_reading_is_bounded_by_bytes_but_never_stuck(tmp_path: Path) -> None:
    """A batch stays below its limit in bytes; a larger hit is returned by itself."""

    async def body(journal: Journal) -> None:
        await append_all(journal, [b"a" * 100, b"b" * 100, b"c" * 1000, b"d"])
        assert [seq for seq, _ in journal.read(0, 10, 200)] == [1, 2]
        assert [seq for seq, _ in journal.read(2, 10, 200)] == [3]
        assert [seq for seq, _ in journal.read(3, 10, 200)] == [4]

    run(tmp_path / "j", body)


def test_hits_that_arrive_during_a_commit_share_the_next(tmp_path: Path) -> None:
    """The first hit begins a commit; a hundred that arrive during it share the next, and each
    waits for its own commit.
    """

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        first = asyncio.create_task(journal.append(b"first"))
        await store.wait_for_write()
        others = [asyncio.create_task(journal.append(hit)) for hit in hits(1, 100)]
        store.passes.put(None)
        await first
        await store.wait_for_write()
        assert store.writes == [1, 100]
        assert not any(task.done() for task in others)
        store.passes.put(None)
        await asyncio.gather(*others)
        await journal.close()

    asyncio.run(main())


def test_a_cancelled_append_disturbs_no_other(tmp_path: Path) -> None:
    """Other callers of the same commit still get their answer, and the cancelled hit is kept."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        tasks = [asyncio.create_task(journal.append(hit)) for hit in hits(1, 3)]
        await store.wait_for_write()
        tasks[1].cancel()
        store.passes.put(None)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
        assert journal.depth == 3
        await journal.close()

    asyncio.run(main())


def test_discarded_hits_are_gone_at_once_and_on_disk_soon(tmp_path: Path) -> None:
    """A discarded range is no longer read or counted, and is still gone after a restart."""

    async def write(journal: Journal) -> None:
        await append_all(journal, hits(1, 10))
        journal.discard(2, 4)
        journal.discard(5, 5)
        assert [seq for seq, _ in journal.read(0, 4)] == [1, 6, 7, 8]
        assert journal.depth == 6
        await eventually(lambda: LmdbStore.read(journal._store, 0, 10, MIB)[1][0] == 6)
        assert journal.depth == 6

    async def read(journal: Journal) -> None:
        assert [seq for seq, _ in journal.read(0, 100)] == [1, 6, 7, 8, 9, 10]

    run(tmp_path / "j", write)
    run(tmp_path / "j", read)


def test_numbers_continue_after_a_restart_of_an_emptied_journal(tmp_path: Path) -> None:
    """No number is used twice, even if no hit is left."""

    async def empty(journal: Journal) -> None:
        await append_all(journal, hits(1, 7))
        journal.discard(1, 7)

    async def go_on(journal: Journal) -> None:
        assert journal.depth == 0
        await journal.append(b"next")
        assert journal.read(0, 10) == [(8, b"next")]

    run(tmp_path / "j", empty)
    run(tmp_path / "j", go_on)


def test_a_reader_is_woken(tmp_path: Path) -> None:
    """Waiting for hits ends when one arrives, or at once if there are some."""

    async def body(journal: Journal) -> None:
        reader = asyncio.create_task(journal.wait_for_more(1))
        await journal.append(b"1")
        await asyncio.sleep(0)
        assert not reader.done()
        await journal.append(b"2")
        await reader
        await journal.wait_for_more(0)

    run(tmp_path / "j", body)


def test_the_age_of_the_oldest_hit(tmp_path: Path) -> None:
    """The age comes from the time in the oldest stored hit, even after restarts; without hits it is 0."""

    def made(seconds_ago: float) -> bytes:
        time_ms = int((time.time() - seconds_ago) * 1000)
        event_id = UUID7s().next(time_ms)
        return encode_entry(TrackingHit(event_id, "open", 1, 2, time_ms, "", "", "", "", ""))

    async def write(journal: Journal) -> None:
        assert journal.oldest_age_s == 0.0
        await journal.append(made(seconds_ago=3600))
        await journal.append(made(seconds_ago=60))

    async def read(journal: Journal) -> None:
        assert 3600 <= journal.oldest_age_s < 3700
        journal.discard(1, 1)
        assert 60 <= journal.oldest_age_s < 160
        journal.discard(2, 2)
        await journal.append(b"not a hit")
        assert journal.oldest_age_s == 0.0

    run(tmp_path / "j", write)
    run(tmp_path / "j", read)


def test_a_hit_set_aside_outlives_its_discard(tmp_path: Path) -> None:
    """An unusable hit is out of the way, and can still be examined after a restart."""

    async def write(journal: Journal) -> None:
        await append_all(journal, hits(1, 3))
        journal.set_aside(2, b"hit 2")
        journal.discard(1, 3)

    async def read(journal: Journal) -> None:
        assert journal.depth == 0
        assert journal.set_aside_hits() == [(2, b"hit 2")]

    run(tmp_path / "j", write)
    run(tmp_path / "j", read)


def test_commits_reach_the_disk(tmp_path: Path) -> None:
    """LMDB must sync data and meta page with each commit, which killing a process cannot show."""

    async def body(journal: Journal) -> None:
        flags = journal._store.file.env.flags()
        assert flags["sync"]
        assert flags["metasync"]
        assert not flags["writemap"]

    run(tmp_path / "j", body)


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A process killed during its appends leaves a sound journal with every hit whose append had returned."""
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "j")], cwd=ROOT, stdout=subprocess.PIPE, bufsize=0
        )
        assert writer.stdout is not None
        acknowledged = b""
        while acknowledged.count(b"\n") < 500:
            acknowledged += writer.stdout.read(4096) or pytest.fail("the writer ended by itself")
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        # A cut line proves that some append returned, but not which one.
        names = set(acknowledged[: acknowledged.rindex(b"\n")].split(b"\n"))

        async def check(journal: Journal, names: set[bytes] = names) -> None:
            held = journal.read(0, 1_000_000)
            assert names <= {hit for _, hit in held}
            assert [seq for seq, _ in held] == list(range(held[0][0], held[0][0] + len(held)))

        run(tmp_path / "j", check)


_WRITER = """
import asyncio, os, sys
from pathlib import Path
from actors.adapters.uuid7 import UUID7s
from actors.commands.intake import encode_entry
from api.journal.journal import Journal

async def client(journal, name):
    for n in range(1_000_000):
        hit = f"{os.getpid()}-{name}-{n}"
        await journal.append(hit.encode())
        os.write(1, hit.encode() + b"\\n")

async def main():
    journal = Journal.open(Path(sys.argv[1]), 1 << 28, reserve_bytes=1 << 20)
    await asyncio.gather(*(client(journal, name) for name in range(20)))

asyncio.run(main())
"""


def test_a_full_journal_keeps_hits_in_memory_until_there_is_room(tmp_path: Path) -> None:
    """At the limit appends still return, hits are read from memory, and they reach the disk once
    others are discarded.
    """

    async def fill(journal: Journal) -> None:
        hit = b"x" * 2000
        while journal.problem is None:
            await append_all(journal, [hit] * 50)
        assert "has reached its limit" in journal.problem
        await journal.append(b"kept")
        last = journal.read(0, 100_000)[-1]
        assert last[1] == b"kept"
        await journal.wait_for_more(last[0] - 1)
        journal.discard(1, last[0] - 20)
        await eventually(lambda: journal.problem is None)
        assert journal.depth == 20
        await journal.append(b"durable again")

    async def read(journal: Journal) -> None:
        assert [hit for _, hit in journal.read(0, 100)][-2:] == [b"kept", b"durable again"]
        assert journal.depth == 21

    run(tmp_path / "j", fill, max_bytes=MIB)
    run(tmp_path / "j", read, max_bytes=MIB)


def test_hits_forwarded_from_memory_never_come_back(tmp_path: Path) -> None:
    """Hits discarded in memory are never written later, and their numbers are not reused."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        store.passes.put("no disk")
        await append_all(journal, hits(1, 3))
        assert journal.problem == "no disk"
        assert journal.read(0, 10) == list(enumerate(hits(1, 3), start=1))
        journal.discard(1, 2)
        assert (journal.read(0, 10), journal.depth) == ([(3, b"hit 3")], 1)
        store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        assert (journal.read(0, 10), journal.depth) == ([(3, b"hit 3")], 1)
        store.passes.put(None)
        await journal.append(b"hit 4")
        assert journal.read(3, 10) == [(4, b"hit 4")]
        await journal.close()

    asyncio.run(main())


def test_a_hit_discarded_during_its_write_does_not_stay(tmp_path: Path) -> None:
    """A hit from memory that is acknowledged during its own commit is removed by the next one."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        store.passes.put("no disk")
        await append_all(journal, hits(1, 3))
        for _ in range(2):
            await store.wait_for_write()  # the second write is the retry
        journal.discard(1, 3)
        store.passes.put(None)
        store.passes.put(None)
        await eventually(lambda: len(store.writes) == 3 and journal.depth == 0)
        await journal.close()
        again = LmdbStore(tmp_path / "j", MIB)
        assert again.entries == 0
        again.close()

    asyncio.run(main())


def test_hits_discarded_during_a_commit_are_removed_after_it(tmp_path: Path) -> None:
    """Also if their own time comes while that commit is still under way, and nothing else is to be written."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        store.passes.put(None)
        await append_all(journal, hits(1, 2))
        journal.discard(1, 1)
        for _ in range(2):
            await store.wait_for_write()  # the second one removes the first hit
        journal.discard(2, 2)
        await eventually(lambda: journal._timer is None)
        store.passes.put(None)
        store.passes.put(None)
        await eventually(lambda: store.entries == 0)
        await journal.close()

    asyncio.run(main())


def test_a_stuck_disk_blocks_nothing(tmp_path: Path) -> None:
    """If a commit takes too long, appends return at once with the reason; when it ends the journal recovers."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, JournalLimits(stuck_s=0.05))
        await journal.append(b"waits for the disk, for a while")
        assert "in time" in (journal.problem or "")
        await asyncio.wait_for(journal.append(b"does not wait"), 1)
        assert journal.depth == 2
        for _ in range(3):
            store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        await eventually(lambda: [seq for seq, _ in journal.read(0, 10)] == [1, 2])
        await journal.close()

    asyncio.run(main())


def test_a_hanging_disk_does_not_block_the_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Closing gives up on the disk after a timeout, and reports how many hits are lost with the memory."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, JournalLimits(stuck_s=0.01))
        await journal.append(b"1")
        await journal.close(timeout_s=0.05)
        store.passes.put(None)

    asyncio.run(main())
    assert any(getattr(record, "lost", 0) == 1 for record in caplog.records)


def test_when_memory_is_full_too_new_hits_are_lost_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory is bounded in hits and bytes; what does not fit is dropped, counted, and logged at intervals."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        limits = JournalLimits(kept_hits=10, kept_bytes=1000, retry_s=0.02, removal_delay_s=0.01)
        journal = Journal(store, limits)
        store.passes.put("no disk")
        for hit in hits(1, 14):
            await journal.append(hit)
        assert (journal.depth, journal.lost) == (10, 4)
        journal.discard(1, 10)
        await journal.append(b"x" * 900)
        await journal.append(b"x" * 101)
        assert (journal.depth, journal.lost) == (1, 5)
        store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        assert journal.read(0, 10) == [(11, b"x" * 900)]
        await journal.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert sum(getattr(record, "action", "") == "hit_lost" for record in caplog.records) == 1


def test_a_full_disk_that_gets_room_again(tmp_path: Path) -> None:
    """After a real write error every hit is kept and readable, and reaches the disk when the error is gone."""
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path / "j")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["full", "kept", "recovered"], done.stderr


_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from actors.adapters.uuid7 import UUID7s
from actors.commands.intake import encode_entry
from api.journal.journal import Journal
from api.journal.limits import JournalLimits

def limit_files_to(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    journal = Journal.open(Path(sys.argv[1]), 1 << 24, JournalLimits(retry_s=0.02))
    limit_files_to(200_000)
    n = 0
    while journal.problem is None:
        n += 1
        await journal.append(b"%06d" % n + b"x" * 2000)
    assert "cannot be written" in journal.problem, journal.problem
    print("full")
    for _ in range(100):
        n += 1
        await journal.append(b"%06d" % n + b"x" * 2000)
    everything = [b"%06d" % k for k in range(1, n + 1)]
    assert [hit[:6] for _, hit in journal.read(0, 10_000)] == everything
    assert journal.depth == n and journal.lost == 0
    print("kept")
    limit_files_to(resource.RLIM_INFINITY)
    while journal.problem is not None:
        await asyncio.sleep(0.01)
    await journal.close()
    journal = Journal.open(Path(sys.argv[1]), 1 << 24)
    assert [hit[:6] for _, hit in journal.read(0, 10_000)] == everything
    await journal.close()
    print("recovered")

asyncio.run(main())
"""


@pytest.mark.parametrize("damage", ["junk", "cut", "empty"])
def test_a_corrupt_journal_is_moved_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Files that LMDB cannot read are renamed with an error in the log, and a new journal accepts hits."""

    async def write(journal: Journal) -> None:
        await append_all(journal, [b"x" * 1000] * 500)

    async def read(journal: Journal) -> None:
        assert journal.depth == 0
        await journal.append(b"new")
        assert [hit for _, hit in journal.read(0, 10)] == [b"new"]

    run(tmp_path / "j", write)
    data = tmp_path / "j" / "data.mdb"
    if damage == "junk":
        data.write_bytes(b"junk" * 10_000)
    elif damage == "cut":
        os.truncate(data, 40_000)
    else:
        data.write_bytes(b"\0" * 8192)
    run(tmp_path / "j", read)
    assert len(list(tmp_path.glob("j.corrupt-*/data.mdb"))) == 1
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


def test_a_journal_whose_files_break_is_reopened(tmp_path: Path) -> None:
    """After a failed read, hits are kept in memory until the files are open again with all of their contents."""

    async def body(journal: Journal) -> None:
        await append_all(journal, hits(1, 3))
        journal._store.file.env.close()
        assert journal.read(0, 10) == []
        assert "cannot be read" in (journal.problem or "")
        await journal.append(b"hit 4")
        await eventually(lambda: journal.problem is None)
        assert journal.read(0, 10) == list(enumerate(hits(1, 4), start=1))

    run(tmp_path / "j", body)


def test_an_unwritable_path_is_reported_at_once(tmp_path: Path) -> None:
    """Opening fails with an error that names the path."""
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match="file/j cannot be opened"):
        Journal.open(tmp_path / "file" / "j", MIB)


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """An open journal cannot be opened a second time, because two writers would overwrite each other."""

    async def body(_: Journal) -> None:
        with pytest.raises(StoreUnavailable, match="open in another process"):
            Journal.open(tmp_path / "j", MIB)

    run(tmp_path / "j", body)
    run(tmp_path / "j", lambda journal: journal.append(b"again"))


def test_an_append_after_the_close_returns_at_once(tmp_path: Path) -> None:
    """The late hit is lost and counted."""

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", MIB)
        await journal.close()
        await asyncio.wait_for(journal.append(b"late"), 1)
        assert journal.lost == 1

    asyncio.run(main())
