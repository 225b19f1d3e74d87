"""The journal on real file systems that are full: tmpfs, and ext4 in a file."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api.journal.allocation import COMMIT_BYTES, STEP_BYTES, Reserve
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.lmdb_access import file_bytes
from domain.errors import JournalUnavailable, StoreUnavailable
from tests.small_disk import KINDS, SmallDisk, small_disk

MIB = 1 << 20
RESERVE = 2 * MIB
KEPT = 6 * MIB
JOURNAL = 64 * MIB
LIMITS = JournalLimits(kept_bytes=KEPT, retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)
#: An entry that is just too long for half a page takes a page of its own.
LONGEST_SHARE = 2031


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(request.param, 192 * MIB, tmp_path) as disk:
        yield disk


def run(disk: SmallDisk, body: Callable[[Journal], Awaitable[None]], reserve: int = RESERVE) -> None:
    """Runs `body` with a journal, which is closed afterwards as at a stop."""

    async def main() -> None:
        journal = Journal.open(disk.path / "j", JOURNAL, LIMITS, reserve_bytes=reserve)
        try:
            await body(journal)
        finally:
            await journal.close()

    asyncio.run(main())


def kept(disk: SmallDisk) -> list[bytes]:
    """Everything in the journal at the next start."""
    found: list[bytes] = []

    async def read(journal: Journal) -> None:
        found.extend(hit for _, hit in journal.read(0, 1_000_000))

    run(disk, read)
    return found


def hit(number: int, size: int = 600) -> bytes:
    return b"%09d" % number + os.urandom(size - 9)


async def append_until(journal: Journal, is_enough: Callable[[], bool], size: int = 600) -> list[bytes]:
    """Appends hits until there are enough; returns them all."""
    hits: list[bytes] = []
    while not is_enough():
        batch = [hit(len(hits) + n, size) for n in range(200)]
        await asyncio.gather(*map(journal.append, batch))
        hits += batch
    return hits


def test_a_full_disk_takes_hits_until_the_reserve_is_used(disk: SmallDisk) -> None:
    """Hits are on the disk, not in memory, for at least the bytes of the reserve."""
    hits: list[bytes] = []

    async def body(journal: Journal) -> None:
        await append_until(journal, lambda: journal.depth > 0)
        disk.fill()
        hits.extend(await append_until(journal, lambda: journal.reserve.is_used))
        left_bytes = journal.reserve.left_bytes
        assert left_bytes >= RESERVE
        hits.extend(await append_until(journal, lambda: journal.problem is not None))
        assert sum(map(len, hits)) > RESERVE
        assert journal.reserve.left_bytes < left_bytes - RESERVE
        assert "reserve is used up" in str(journal.problem)
        assert journal.lost == 0

    run(disk, body)
    assert set(hits) <= set(kept(disk))


@pytest.mark.parametrize("size", [600, LONGEST_SHARE, 4081, 30_000])
def test_a_stop_on_a_full_disk_writes_everything_in_memory(disk: SmallDisk, size: int) -> None:
    """Memory that is full to its bound reaches the disk at the stop, whatever the size of the hits."""
    hits: list[bytes] = []

    async def body(journal: Journal) -> None:
        disk.fill()
        hits.extend(await append_until(journal, lambda: journal.lost > 0, size))
        del hits[len(hits) - journal.lost :]

    run(disk, body)
    with pytest.raises(OSError, match="No space left"):
        (disk.path / "more").write_bytes(bytes(MIB))
    assert kept(disk) == hits


def test_without_a_reserve_a_stop_on_a_full_disk_loses_what_is_in_memory(disk: SmallDisk) -> None:
    """The tests above see the reserve at work, and not room that the disk had anyway."""
    hits: list[bytes] = []

    async def body(journal: Journal) -> None:
        disk.fill()
        hits.extend(await append_until(journal, lambda: journal.problem is not None))
        hits.extend(await append_until(journal, lambda: journal.depth > 4000))

    run(disk, body, reserve=0)
    disk.free()
    assert len(kept(disk)) < len(hits)


def test_a_stop_without_room_for_everything_writes_what_fits(tmp_path: Path) -> None:
    """On a small disk, the room for the stop is used to its end, and the number of lost hits is exact."""
    size, two_pages = 4400, 8192
    hits: list[bytes] = []
    lost = 0

    async def body(disk: SmallDisk) -> None:
        nonlocal lost
        limits = JournalLimits(retry_s=0.02, stuck_s=30.0)
        journal = Journal.open(disk.path / "j", JOURNAL, limits, reserve_bytes=64 * MIB)
        disk.fill()
        hits.extend(await append_until(journal, lambda: journal.depth * two_pages > 12 * MIB, size))
        await journal.close(30.0)
        lost = journal.lost_at_stop

    with small_disk("tmpfs", 16 * MIB, tmp_path) as disk:
        asyncio.run(body(disk))
        file_bytes = (disk.path / "j" / "data.mdb").stat().st_size
        disk.free()
        assert kept(disk) == hits[: len(hits) - lost]
    assert (len(hits) - lost) * two_pages > file_bytes - MIB
    assert lost > 0


def test_a_full_disk_goes_on_while_hits_are_forwarded(disk: SmallDisk) -> None:
    """Pages of discarded hits are used again, so a ledger on another disk keeps the journal going without end."""

    async def body(journal: Journal) -> None:
        disk.fill()
        written = 0
        while written < 3 * (RESERVE + COMMIT_BYTES + STEP_BYTES):
            batch = [hit(n, 3000) for n in range(1000)]
            await asyncio.gather(*map(journal.append, batch))
            assert journal.problem is None
            written += sum(map(len, batch))
            last = journal.read(0, 1000)[-1][0]
            journal.discard(1, last)

    run(disk, body)


@pytest.mark.parametrize("is_used_up", [False, True])
def test_the_reserve_is_whole_again_when_there_is_room(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture, *, is_used_up: bool
) -> None:
    """A used reserve is allocated again without further hits, so that it can be used a second time."""

    async def body(journal: Journal) -> None:
        disk.fill()
        await append_until(
            journal, lambda: (journal.problem is not None) if is_used_up else journal.reserve.is_used, 3000
        )
        disk.free()
        async with asyncio.timeout(20):
            while journal.reserve.is_used or journal.problem is not None:
                await asyncio.sleep(0.01)
        disk.fill()
        before = journal.depth
        await append_until(journal, lambda: (journal.depth - before) * 3000 > RESERVE, 3000)
        assert journal.problem is None

    with caplog.at_level(logging.WARNING):
        run(disk, body)
    assert "journal_reserve_whole" in [getattr(record, "action", "") for record in caplog.records]


def test_a_full_disk_refuses_reports_and_keeps_the_reserve_for_hits(disk: SmallDisk) -> None:
    """Senders repeat reports; nobody repeats a click."""

    async def body(journal: Journal) -> None:
        await journal.append_reports([b"report"])
        disk.fill()
        await append_until(journal, lambda: journal._store.file.allocation.is_disk_full)
        with pytest.raises(JournalUnavailable, match="reserve is for hits"):
            await journal.append_reports([b"report"])
        await journal.append(b"hit")
        assert journal.problem is None

    run(disk, body)


def test_a_journal_is_opened_on_a_full_disk(disk: SmallDisk) -> None:
    """A front end that restarts finds what its predecessor had allocated."""

    async def nothing(_: Journal) -> None:
        return

    async def body(journal: Journal) -> None:
        hits = await append_until(journal, lambda: journal.depth > 3000)
        assert journal.problem is None
        assert [found for _, found in journal.read(0, 10_000)] == hits

    run(disk, nothing)
    disk.fill()
    run(disk, body)


def test_a_renewal_gives_no_reserve_away(disk: SmallDisk) -> None:
    """A full disk refuses it; with room, the new file has the same reserve as the old one."""

    def ahead(journal: Journal) -> int:
        allocation = journal._store.file.allocation
        return allocation._end - file_bytes(journal._store.file.env)

    async def body(journal: Journal) -> None:
        await journal.append(b"hit")
        journal.discard(1, 1)
        async with asyncio.timeout(10):
            while journal.holds(1):
                await asyncio.sleep(0.01)
        whole = ahead(journal)
        disk.fill()
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await journal.renew(1)
        assert ahead(journal) == whole
        disk.free()

        await journal.renew(1)

        assert ahead(journal) >= whole - STEP_BYTES
        assert journal.problem is None

    run(disk, body)


def test_a_small_disk_is_shared(tmp_path: Path) -> None:
    """Where the reserve does not fit, the ledger keeps half of the room, and hits get their share of the rest."""
    with small_disk("tmpfs", 32 * MIB, tmp_path) as disk:

        async def body(journal: Journal) -> None:
            assert 14 * MIB < disk.free_bytes < 18 * MIB
            await journal.append_reports([b"report"])
            disk.fill()
            hits = await append_until(journal, lambda: journal.problem is not None)
            assert sum(map(len, hits)) > MIB / 2

        run(disk, body)


def test_without_fallocate_there_is_no_reserve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so once; the journal works and its file is only as long as needed."""
    with small_disk("ramfs", 192 * MIB, tmp_path) as disk:
        run(disk, lambda journal: journal.append(b"hit"))
        assert kept(disk) == [b"hit"]
        assert (disk.path / "j" / "data.mdb").stat().st_size < MIB
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions == ["journal_without_reserve"] * 2  # at each start


def test_holes_are_filled_at_the_start(tmp_path: Path) -> None:
    """A copy of a journal may have holes, which a later commit could not fill on a full disk."""
    with small_disk("tmpfs", 192 * MIB, tmp_path) as disk:
        path = disk.path / "j"
        path.mkdir()
        with (path / "data.mdb").open("wb") as file:
            file.truncate(0)
        run(disk, lambda journal: journal.append(b"hit"))
        os.truncate(path / "data.mdb", 100 * MIB)
        run(disk, lambda journal: journal.append(b"hit"))
        assert (path / "data.mdb").stat().st_blocks * 512 >= 100 * MIB


def test_the_size_of_a_reserve() -> None:
    """Memory may need twice its bytes on the disk, and a margin; no reserve means none for memory either."""
    assert Reserve.of(MIB, KEPT) == Reserve(hits=MIB, memory=2 * KEPT + 8 * MIB)
    assert Reserve.of(0, KEPT).total == 0
