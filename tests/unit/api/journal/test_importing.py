"""Import of a journal that was moved aside, with its spool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors.commands.command import Command
from actors.commands.intake import encode_batch, encode_entry, read_batch
from api.journal.importing import import_journal
from api.journal.journal import Journal
from api.journal.spool import MAX_INLINE_BYTES
from api.reports.intake import ReportIntake, Sender
from domain.errors import InvalidInput, StoreUnavailable, Unavailable
from domain.tracking import TrackingHit
from tests.unit.api.journal.test_journal import MIB, QUICK

HIT = TrackingHit(b"i" * 16, "click", 1, 2, 3, "https://shop.example/", "192.0.2.1", "agent", "", "")
LARGE = b"From: a@b.example\n\n" + b"x" * MAX_INLINE_BYTES


class Ledger:
    """A client that keeps what it is sent, and refuses what the real one would."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.batches = 0
        self.is_away = False

    async def call(self, command: Command[Any]) -> Any:
        raise NotImplementedError(command)

    async def record_intake(self, entries: list[bytes]) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.entries += read_batch(encode_batch(entries)).entries
        self.batches += 1


def moved_aside(path: Path, hits: int = 600) -> Path:
    """A journal with hits, reports and two mails, one of them in its spool, under the names of a corrupt one."""

    async def fill() -> None:
        journal = Journal.open(path / "journal", 64 * MIB, QUICK)
        intake = ReportIntake(journal, lambda: 1_700_000_000_000)
        sender = Sender(1, b"k" * 32)
        await asyncio.gather(
            *(journal.append(encode_entry(HIT._replace(event_id=n.to_bytes(16, "big")))) for n in range(hits))
        )
        await intake.accept_json(b'[{"type":"delivery","message":"a"},{"type":"delivery","message":"b"}]', sender)
        await intake.accept_mail(LARGE, sender)
        await intake.accept_mail(b"From: small\n\n", sender)
        await journal.close()

    asyncio.run(fill())
    (path / "journal").rename(path / "journal.corrupt-7")
    (path / "spool").rename(path / "spool.corrupt-7")
    return path / "journal.corrupt-7"


def test_everything_is_recorded_in_batches(tmp_path: Path) -> None:
    """Hits and reports, and each mail with the content of its file; the files stay as they are."""
    journal, ledger = moved_aside(tmp_path), Ledger()
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    imported = asyncio.run(import_journal(journal, ledger))

    assert (imported.recorded, imported.unreadable) == (604, 0)
    assert len(ledger.entries) == 604
    assert [entry.mime for entry in ledger.entries if hasattr(entry, "mime")] == [LARGE, b"From: small\n\n"]
    assert ledger.batches < 10
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("damage", ["truncated", "zeros", "noise", "roots"])
def test_a_damaged_journal_is_read_as_far_as_possible(tmp_path: Path, damage: str) -> None:
    """LMDB would end the process; the entries on undamaged pages are recorded, whatever leads to these pages."""
    journal = moved_aside(tmp_path, hits=20_000)
    data = bytearray((journal / "data.mdb").read_bytes())
    middle = len(data) // 2 & ~4095
    if damage == "truncated":
        del data[len(data) * 3 // 4 + 100 :]
    elif damage == "roots":
        data[4096 + 64 : 8192] = bytes(4096 - 64)
    else:
        data[middle : middle + 40_960] = bytes(40_960) if damage == "zeros" else b"\xff\x02\x07" * 13_653 + b"\0"
    (journal / "data.mdb").write_bytes(data)
    ledger = Ledger()
    imported = asyncio.run(import_journal(journal, ledger))

    different = {entry.event_id for entry in ledger.entries}
    assert imported.recorded == len(ledger.entries)
    assert len(different) > (20_003 if damage == "roots" else 12_000)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """The error names the directory."""
    (tmp_path / "journal").mkdir()
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        asyncio.run(import_journal(tmp_path / "journal", Ledger()))
    (tmp_path / "journal" / "data.mdb").write_bytes(b"nothing" * 10_000)
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        asyncio.run(import_journal(tmp_path / "journal", Ledger()))


def test_broken_entries_do_not_stop_the_others(tmp_path: Path) -> None:
    """They are counted."""

    broken = encode_entry(HIT)[:40]

    async def fill() -> None:
        journal = Journal.open(tmp_path / "journal", 8 * MIB, QUICK)
        await asyncio.gather(*(journal.append(hit) for hit in (encode_entry(HIT), broken, encode_entry(HIT))))
        await journal.close()

    asyncio.run(fill())
    ledger = Ledger()
    imported = asyncio.run(import_journal(tmp_path / "journal", ledger))
    assert (imported.recorded, imported.unreadable, len(ledger.entries)) == (2, 1, 2)
    ledger.is_away = True
    with pytest.raises(Unavailable):
        asyncio.run(import_journal(tmp_path / "journal", ledger))
    with pytest.raises(InvalidInput):
        asyncio.run(Ledger().record_intake([broken]))
