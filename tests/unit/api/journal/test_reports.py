"""Reports in the edge journal: durable or refused, never in memory, and at most half of the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.journal.journal import Journal
from api.journal.lmdb_store import LmdbStore
from api.journal.report_queue import MAX_WAITING_BYTES
from domain.errors import JournalUnavailable, Overloaded
from tests.unit.api.journal.test_journal import MIB, QUICK, GatedStore, eventually, hits, run


def test_reports_are_read_back_in_order_with_hits(tmp_path: Path) -> None:
    """Hits and reports share numbers and commits, and are read in the order of their numbers after a restart."""

    async def write(journal: Journal) -> None:
        await asyncio.gather(
            journal.append(b"hit 1"), journal.append_reports([b"r 1", b"r 2"]), journal.append(b"hit 2")
        )
        await journal.append(b"hit 3")
        await journal.append_reports([b"r 3"])

    async def read(journal: Journal) -> None:
        entries = journal.read(0, 100)
        assert [seq for seq, _ in entries] == [1, 2, 3, 4, 5, 6]
        assert [entry for _, entry in entries] == [b"hit 1", b"hit 2", b"r 1", b"r 2", b"hit 3", b"r 3"]
        assert journal.read(2, 2) == entries[2:4]
        assert [entry for _, entry in journal.read(1, 100, 8)] == [b"hit 2", b"r 1"]
        assert journal.depth == 6
        journal.discard(2, 3)
        journal.discard(5, 6)
        assert journal.read(0, 100) == [entries[0], entries[3]]
        await eventually(lambda: journal.depth == 2)
        assert journal.read(0, 100) == [entries[0], entries[3]]

    run(tmp_path / "j", write)
    run(tmp_path / "j", read)


def test_the_reports_of_a_request_are_one_commit(tmp_path: Path) -> None:
    """A request's reports are saved together, however many there are, and hits go first."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        first = asyncio.create_task(journal.append(b"first"))
        await store.wait_for_write()
        reports = asyncio.create_task(journal.append_reports([b"%d" % n for n in range(10_000)]))
        hit = asyncio.create_task(journal.append(b"hit"))
        store.passes.put(None)
        await first
        await store.wait_for_write()
        assert not reports.done()
        store.passes.put(None)
        await asyncio.gather(reports, hit)
        assert len(store.writes) == 2
        assert [entry for _, entry in journal.read(1, 3)] == [b"hit", b"0", b"1"]
        assert journal.depth == 10_002
        store.passes.put(None)
        await journal.close()

    asyncio.run(main())


def test_reports_join_the_commit_of_a_hit(tmp_path: Path) -> None:
    """A hit is written at once with the reports that wait, also with those that came during the commit before."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK.__class__(report_delay_s=60))
        for number in range(2):
            reports = [asyncio.create_task(journal.append_reports([b"r"])) for _ in range(3)]
            await asyncio.sleep(0)
            assert len(store.writes) == 2 * number
            hit = asyncio.create_task(journal.append(b"hit"))
            await store.wait_for_write()
            reports.append(asyncio.create_task(journal.append_reports([b"late"])))
            await asyncio.sleep(0)
            store.passes.put(None)
            await asyncio.gather(hit, *reports[:3])
            assert not reports[3].done()
            hit = asyncio.create_task(journal.append(b"hit"))
            await store.wait_for_write()
            store.passes.put(None)
            await asyncio.gather(hit, reports[3])
        await journal.close()

    asyncio.run(main())


def test_a_failed_disk_refuses_reports_and_keeps_hits(tmp_path: Path) -> None:
    """Reports of the failed commit and those that wait are refused; later ones are refused at once until it works."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        tasks = [asyncio.create_task(journal.append_reports([b"refused"])), asyncio.create_task(journal.append(b"hit"))]
        await store.wait_for_write()
        waiting = asyncio.create_task(journal.append_reports([b"waiting"]))
        await asyncio.sleep(0)
        store.passes.put("no space left")
        refused = await asyncio.gather(*tasks, waiting, return_exceptions=True)
        assert [type(each) for each in refused] == [JournalUnavailable, type(None), JournalUnavailable]
        with pytest.raises(JournalUnavailable, match="no space left"):
            await journal.append_reports([b"refused too"])
        await store.wait_for_write()
        store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        later = asyncio.create_task(journal.append_reports([b"accepted"]))
        await store.wait_for_write()
        store.passes.put(None)
        await later
        assert [entry for _, entry in journal.read(0, 10)] == [b"hit", b"accepted"]
        await journal.close()
        with pytest.raises(JournalUnavailable):
            await journal.append_reports([b"after the end"])

    asyncio.run(main())


def test_a_stuck_disk_refuses_reports(tmp_path: Path) -> None:
    """A write that hangs refuses its reports after a while; if it ends, they are there, and a repeat is recognised."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK.__class__(stuck_s=0.05, retry_s=0.02, removal_delay_s=0.01))
        with pytest.raises(JournalUnavailable) as caught:
            await journal.append_reports([b"slow"])
        assert caught.value.may_have_run
        store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        assert [entry for _, entry in journal.read(0, 10)] == [b"slow"]
        await journal.close()

    asyncio.run(main())


def test_reports_leave_half_of_the_journal_to_hits(tmp_path: Path) -> None:
    """When reports hold half of the journal, further ones are refused, until some are discarded; hits use the rest."""

    async def body(journal: Journal) -> None:
        async def fill() -> None:
            while True:
                await journal.append_reports([b"r" * 20_000])

        with pytest.raises(JournalUnavailable, match="half of the journal"):
            await fill()
        accepted = journal.depth
        assert 8 * MIB < 20_000 * accepted < 10 * MIB
        assert journal.problem is None
        await asyncio.gather(*(journal.append(b"h" * 1000) for _ in range(3000)))
        assert journal.problem is None
        assert journal.depth == accepted + 3000
        journal.discard(1, 200)
        await eventually(lambda: journal.depth == accepted + 2800)
        await journal.append_reports([b"r" * 20_000] * 10)

    run(tmp_path / "j", body, max_bytes=20 * MIB)


def test_what_waits_for_the_disk_is_bounded(tmp_path: Path) -> None:
    """Requests beyond the bound are refused, so that a slow disk does not fill the memory."""

    async def main() -> None:
        store = GatedStore(tmp_path / "j")
        journal = Journal(store, QUICK)
        first = asyncio.create_task(journal.append(b"first"))
        await store.wait_for_write()
        large = b"x" * (MAX_WAITING_BYTES // 4)
        waiting = [asyncio.create_task(journal.append_reports([large])) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await journal.append_reports([large])
        store.passes.put(None)
        for _ in range(8):
            store.passes.put("no space left")
        await asyncio.gather(first, *waiting, return_exceptions=True)
        for _ in range(8):
            store.passes.put(None)
        await journal.close()

    asyncio.run(main())


def test_everything_waits_for_its_own_commit(tmp_path: Path) -> None:
    """Hits in memory after a failure are written before later reports, so numbers reach the disk in order."""

    async def body(journal: Journal) -> None:
        await asyncio.gather(
            *(journal.append(hit) for hit in hits(1, 5000)),
            *(journal.append_reports([b"r %d" % n]) for n in range(100)),
        )
        numbers = [seq for seq, _ in journal.read(0, 10_000)]
        assert numbers == list(range(1, 5101))

    run(tmp_path / "j", body)


def test_a_closed_store_is_reopened_with_its_reports(tmp_path: Path) -> None:
    """Reports survive a new process, and the next number is above theirs."""

    async def body(journal: Journal) -> None:
        await journal.append_reports([b"a", b"b"])

    run(tmp_path / "j", body)
    store = LmdbStore(tmp_path / "j", MIB)
    assert (store.next_seq(), store.entries) == (3, 2)
    store.close()
