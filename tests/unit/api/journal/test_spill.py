"""Spill of hits at a stop, and their import at the next start."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.spill import Spill, read_spilled
from api.journal.spill_import import SpillImport
from domain.errors import JournalUnavailable
from tests.small_disk import SmallDisk, small_disk

MIB = 1 << 20
HITS = [b"hit %d" % n + os.urandom(n % 900) for n in range(4000)]
LIMITS = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_what_is_spilled_can_be_read(tmp_path: Path) -> None:
    """Each hit in order, in a private file; another installation's files are none of ours."""
    spill = Spill(tmp_path, "aa")
    assert spill.write(HITS) == len(HITS)
    Spill(tmp_path, "bb").write([b"another's"])

    (file,) = spill.files()
    assert list(read_spilled(file)) == HITS
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_full_directory_takes_what_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first hits are kept whole, and the number is known."""
    with small_disk("tmpfs", MIB, tmp_path) as disk:
        spill = Spill(disk.path, "aa")
        written = spill.write(HITS)
        (file,) = spill.files()
        assert 0 < written < len(HITS)
        assert list(read_spilled(file)) == HITS[:written]
        assert "hits cannot be spilled" in caplog.text


def test_a_missing_directory_takes_nothing(tmp_path: Path) -> None:
    """It may be where another disk should be mounted, so it is not made."""
    assert Spill(tmp_path / "missing", "aa").write(HITS) == 0
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "header"])
def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path, damage: str) -> None:
    """What is before it is imported, and the file is kept under another name."""
    spill = Spill(tmp_path, "aa")
    spill.write([b"one", b"two", b"three"])
    (file,) = spill.files()
    content = file.read_bytes()
    file.write_bytes(
        {"cut": content[:-1], "changed": content[:-1] + b"X", "header": b"x" + content[1:]}[damage],
    )

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", 16 * MIB, LIMITS)
        task = SpillImport(spill, journal, 0.01)
        task.start()
        await until(lambda: not spill.files())
        await task.stop()
        expected = [] if damage == "header" else [b"one", b"two"]
        assert [hit for _, hit in journal.read(0, 10)] == expected
        await journal.close()

    asyncio.run(main())
    assert len(list(tmp_path.glob("*.damaged"))) == 1


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_stop_spills_what_a_full_disk_does_not_take(tmp_path: Path, kind: str) -> None:
    """The next start has every hit once, in its journal before the file is removed; it waits while the disk is full."""
    spill = Spill(tmp_path, "aa")

    async def stop(disk: SmallDisk) -> None:
        journal = Journal.open(disk.path / "j", 16 * MIB, LIMITS, spill=spill)
        disk.fill()
        for hit in HITS:
            await journal.append(hit)
        assert journal.problem is not None
        await journal.close()
        assert journal.lost_at_stop == 0

    async def start(disk: SmallDisk) -> None:
        journal = Journal.open(disk.path / "j", 16 * MIB, LIMITS, spill=spill)
        task = SpillImport(spill, journal, 0.01)
        task.start()
        for _ in range(20):
            with pytest.raises(JournalUnavailable):
                await journal.append_reports([b"report"])
        assert len(spill.files()) == 1
        disk.free()
        await until(lambda: not spill.files())
        found = [hit for _, hit in journal.read(0, 10_000)]
        await task.stop()
        await journal.close()
        assert sorted(found) == sorted(HITS)

    with small_disk(kind, 24 * MIB, tmp_path) as disk:
        asyncio.run(stop(disk))
        asyncio.run(start(disk))


def test_without_a_spill_the_number_of_lost_hits_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log, and in `lost_at_stop`, which becomes the exit code."""

    async def main(disk: SmallDisk) -> None:
        journal = Journal.open(disk.path / "j", 16 * MIB, LIMITS)
        disk.fill()
        for hit in HITS:
            await journal.append(hit)
        depth = journal.depth
        await journal.close()
        assert 0 < journal.lost_at_stop <= depth

        (record,) = [record for record in caplog.records if getattr(record, "action", "") == "hit_lost"]
        assert getattr(record, "lost", None) == journal.lost_at_stop

    with small_disk("tmpfs", 24 * MIB, tmp_path) as disk, caplog.at_level(logging.ERROR):
        asyncio.run(main(disk))
