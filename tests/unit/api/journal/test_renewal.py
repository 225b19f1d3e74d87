"""The renewal of a journal's file: no byte of removed entries is left, and no other entry is lost, whatever happens."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.commands.intake import encode_entry
from actors.processes.backup import back_up
from actors.settings.data_dir import DataDir
from api.journal.file_swap import next_path, old_path
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.renewal import SLICE_BYTES
from domain.errors import FeedbackLoopsError, StoreUnavailable
from domain.reports.intake import MAIL, ReturnedMailEntry
from tests.paths import ROOT

MIB = 1 << 20
QUICK = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)
SPOOLED = "0123456789abcdef" * 2


def run(data_dir: Path, body: Callable[[Journal], Awaitable[None]], max_bytes: int = 32 * MIB) -> None:
    """Runs `body` with the journal of a data directory, closed afterwards."""

    async def main() -> None:
        journal = Journal.open(data_dir / "journal", max_bytes, QUICK)
        try:
            await body(journal)
        finally:
            await journal.close()

    asyncio.run(main())


async def drained(journal: Journal, up_to_seq: int) -> None:
    """Waits until nothing up to this number is left."""
    async with asyncio.timeout(10):
        while journal.holds(up_to_seq):
            await asyncio.sleep(0.005)


def files_with(folder: Path, text: bytes) -> list[str]:
    """The files below a folder that contain this text, in any byte."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def mail(name: str) -> bytes:
    return encode_entry(ReturnedMailEntry(bytes(16), 1, MAIL, b"key", 1, b"digest", b"", name))


def test_no_byte_of_removed_entries_is_left(tmp_path: Path) -> None:
    """LMDB keeps what was removed; a new file has only what is left, under the same numbers."""

    async def body(journal: Journal) -> None:
        await asyncio.gather(*(journal.append(b"john@example.com %d" % n) for n in range(1000)))
        await journal.append_reports([b"a report about john@example.com"])
        noted = journal.last_seq
        await journal.append(b"a later hit")
        journal.discard(1, noted)
        await drained(journal, noted)
        assert files_with(tmp_path, b"john@example.com")
        await journal.renew(noted)
        assert not files_with(tmp_path, b"john@example.com")
        assert journal.read(0, 10) == [(noted + 1, b"a later hit")]
        assert journal.depth == 1
        await journal.append(b"next")
        assert journal.read(noted + 1, 10) == [(noted + 2, b"next")]

    async def again(journal: Journal) -> None:
        assert [hit for _, hit in journal.read(0, 10)] == [b"a later hit", b"next"]
        await journal.append(b"last")
        assert journal.last_seq == 1004

    run(tmp_path, body)
    run(tmp_path, again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "journal.lock"]


def test_entries_set_aside_move_along_unless_they_are_dropped(tmp_path: Path) -> None:
    """The dropped ones are gone with their files in the spool."""

    async def body(journal: Journal) -> None:
        for name in (SPOOLED, SPOOLED[::-1]):
            journal.spool.write(name, b"a mail to %s" % name.encode())
        entries = [b"john's", b"jane's", mail(SPOOLED), mail(SPOOLED[::-1])]
        await journal.append_reports(entries)
        for seq, entry in enumerate(entries, start=1):
            journal.set_aside(seq, entry)
        journal.discard(1, 4)
        await drained(journal, 4)
        await journal.renew(4, dropped=[1, 3])
        assert journal.set_aside_hits() == [(2, b"jane's"), (4, mail(SPOOLED[::-1]))]
        assert journal.spool.names() == [SPOOLED[::-1]]
        assert not files_with(tmp_path, b"john")

    run(tmp_path, body)


def test_entries_that_wait_keep_the_old_file(tmp_path: Path) -> None:
    """A renewal never leaves out an entry that was not removed."""

    async def body(journal: Journal) -> None:
        await asyncio.gather(*(journal.append(b"hit %d" % n) for n in range(10)))
        journal.discard(1, 8)
        assert journal.holds(9)
        with pytest.raises(StoreUnavailable, match="must be forwarded"):
            await journal.renew(9)
        assert [seq for seq, _ in journal.read(0, 10)] == [9, 10]
        journal.discard(9, 9)
        await drained(journal, 9)
        await journal.renew(9)
        assert [seq for seq, _ in journal.read(0, 10)] == [10]

    run(tmp_path, body)


def test_a_large_journal_moves_between_the_commits_of_hits(tmp_path: Path) -> None:
    """Hits that arrive, leave or are set aside while it is copied do so in the new file, too."""

    async def body(journal: Journal) -> None:
        size = SLICE_BYTES // 16
        await asyncio.gather(*(journal.append(b"%d " % n + b"x" * size) for n in range(1, 101)))
        journal.discard(1, 1)
        await drained(journal, 1)
        renewal = asyncio.create_task(journal.renew(1))
        added = 0
        while not renewal.done():
            await journal.append(b"added %d" % added)
            added += 1
            if added == 2:
                journal.set_aside(3, b"an odd one")
                journal.discard(2, 4)  # copied already
                journal.discard(99, 99)  # not copied yet
            await asyncio.sleep(0)
        await renewal
        assert added > 4
        kept = [n for n in range(5, 101) if n != 99]
        await drained(journal, 4)
        found = journal.read(0, 1000)
        assert [seq for seq, _ in found] == kept + list(range(101, 101 + added))
        assert [hit.split()[0] for _, hit in found[: len(kept)]] == [b"%d" % n for n in kept]
        assert journal.set_aside_hits() == [(3, b"an odd one")]
        assert journal.depth == len(found)

    run(tmp_path, body)


def test_a_disk_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    """The renewal fails, hits do not, and a later renewal succeeds."""

    async def body(journal: Journal) -> None:
        await journal.append(b"john's")
        journal.discard(1, 1)
        await drained(journal, 1)
        next_path(tmp_path / "journal").write_text("no directory")
        with pytest.raises(StoreUnavailable, match="cannot be renewed"):
            await journal.renew(1)
        await journal.append(b"a later hit")
        assert journal.problem is None
        next_path(tmp_path / "journal").unlink()
        await journal.renew(1)
        assert journal.read(0, 10) == [(2, b"a later hit")]

    run(tmp_path, body)


def test_a_stop_during_a_renewal_loses_nothing(tmp_path: Path) -> None:
    """The old file is the journal, and the new one is removed at the next start."""

    async def stopped(journal: Journal) -> None:
        await asyncio.gather(*(journal.append(b"%d " % n + b"x" * SLICE_BYTES) for n in range(1, 10)))
        renewal = asyncio.create_task(journal.renew(0))
        await journal.append(b"last")
        await journal.close()
        with pytest.raises(FeedbackLoopsError, match="stopping"):
            await renewal

    async def again(journal: Journal) -> None:
        assert [seq for seq, _ in journal.read(0, 100)] == list(range(1, 11))

    run(tmp_path, stopped)
    run(tmp_path, again)
    assert not next_path(tmp_path / "journal").exists()


def test_a_kill_at_each_step_loses_nothing(tmp_path: Path) -> None:
    """At whatever step of the file system: the next start finds each entry once, and a repetition removes the rest."""
    step = 0
    is_killed = True
    while is_killed:
        step += 1
        data_dir = tmp_path / str(step)
        data_dir.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", _RENEWER, str(data_dir), str(step)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            timeout=60,
        )
        is_killed = done.returncode == -signal.SIGKILL
        assert is_killed or done.returncode == 0, done.stderr.decode()
        acknowledged = {int(line) for line in done.stdout.splitlines()}

        async def check(journal: Journal, acknowledged: set[int] = acknowledged) -> None:
            found = journal.read(0, 1000)
            seqs = [seq for seq, _ in found]
            assert all(hit == b"hit %d" % seq for seq, hit in found)
            assert seqs == list(range(51, 51 + len(seqs)))
            assert set(range(51, 61)) | acknowledged <= set(seqs)
            aside = dict(journal.set_aside_hits())
            assert aside.keys() in ({5, 7}, {7})
            await journal.renew(50, dropped=[5])
            assert journal.read(0, 1000) == found
            assert journal.set_aside_hits() == [(7, b"aside 7")]

        run(data_dir, check)
        assert not files_with(data_dir, b"gone")
        assert not files_with(data_dir, b"aside 5")
        assert sorted(path.name for path in data_dir.iterdir()) == ["journal", "journal.lock"]
    assert step > 8  # mkdir, three files to flush, two renames, and the old directory with two files


_RENEWER = """
import asyncio, os, signal, sys
from pathlib import Path
from api.journal.journal import Journal

data_dir, kill_at = Path(sys.argv[1]), int(sys.argv[2])
steps, is_renewing = 0, False

def watch(event, arguments):
    global steps
    if is_renewing and arguments and str(data_dir) in str(arguments[0]):
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

async def add(journal):
    while True:
        await journal.append(b"hit %d" % (journal.last_seq + 1))
        os.write(1, b"%d\\n" % journal.last_seq)

async def main():
    global is_renewing
    journal = Journal.open(data_dir / "journal", 1 << 24)
    for n in range(1, 61):
        await journal.append(b"%s %d" % (b"gone" if n <= 50 else b"hit", n))
    for n in (5, 7):
        journal.set_aside(n, b"aside %d" % n)
    journal.discard(1, 50)
    while journal.holds(50):
        await asyncio.sleep(0.01)
    sys.addaudithook(watch)
    is_renewing = True
    adding = asyncio.create_task(add(journal))
    await journal.renew(50, dropped=[5])
    is_renewing = False
    adding.cancel()
    await journal.close()

asyncio.run(main())
"""


def test_the_states_of_the_directories_after_a_crash(tmp_path: Path) -> None:
    """Each combination that a crash can leave ends with one journal, the right one."""

    async def one_hit(journal: Journal) -> None:
        await journal.append(b"complete")

    async def holds_it(journal: Journal) -> None:
        assert journal.read(0, 10) == [(1, b"complete")]

    path = tmp_path / "journal"
    for there in (["journal", "next"], ["old", "next"], ["journal", "old"], ["old"]):
        complete = "next" if there == ["old", "next"] else there[0]
        run(tmp_path, one_hit)
        path.rename(tmp_path / "made")
        places = {"journal": path, "next": next_path(path), "old": old_path(path)}
        for name in there:
            if name == complete:
                (tmp_path / "made").rename(places[name])
            else:
                places[name].mkdir()
                (places[name] / "data.mdb").write_bytes(b"not complete, or old")
        run(tmp_path, holds_it)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["journal", "journal.lock"]
        for left in path.iterdir():
            left.unlink()
        path.rmdir()


def test_a_backup_while_a_new_directory_takes_its_place_has_the_journal(tmp_path: Path) -> None:
    """Also if a crash left it between the two renames."""
    data_dir = tmp_path / "data"
    with DataDir.open(data_dir) as made:
        made.init()
    (data_dir / "ledger.elsewhere").write_text("elsewhere")

    async def one_hit(journal: Journal) -> None:
        await journal.append(b"in the backup")

    run(data_dir, one_hit)
    (data_dir / "journal").rename(next_path(data_dir / "journal"))
    old_path(data_dir / "journal").mkdir()
    assert "journal/data.mdb" in back_up(data_dir, tmp_path / "copy", "now").sizes
    assert files_with(tmp_path / "copy", b"in the backup") == ["journal/data.mdb"]


def test_the_new_file_has_the_same_reserve(tmp_path: Path) -> None:
    """A full disk after a renewal finds as much room in the journal as before."""
    reserve_bytes = MIB

    async def main() -> None:
        journal = Journal.open(tmp_path / "journal", 8 * MIB, QUICK, reserve_bytes=reserve_bytes)
        try:
            await journal.append(b"gone")
            before = allocated(tmp_path / "journal" / "data.mdb")
            journal.discard(1, 1)
            await drained(journal, 1)
            await journal.renew(1)
            await journal.append(b"kept")
            after = allocated(tmp_path / "journal" / "data.mdb")
            assert min(before, after) > reserve_bytes
            assert abs(after - before) < MIB
        finally:
            await journal.close()

    def allocated(file: Path) -> int:
        return file.stat().st_blocks * 512

    asyncio.run(main())
