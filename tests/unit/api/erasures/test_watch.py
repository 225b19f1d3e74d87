"""A front end's part of erasures, with a real journal and a ledger that only knows what is still to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.adapters.uuid7 import UUID7s
from actors.commands.command import Command
from actors.commands.front_end_erasures import (
    ConfirmErasures,
    FindErasedMessages,
    FrontEndErasure,
    FrontEndWork,
    NoteFrontEndProblem,
    ReadFrontEndErasures,
    RepeatErasures,
)
from actors.commands.intake import encode_entry
from actors.installation.erasure_file import FILE, ErasureLine, add_erasures, read_erasures
from actors.installation.key_file import KeyFile
from actors.installation.wrapping import new_ring
from api.erasures.files import ErasureFiles
from api.erasures.watch import ErasureWatch
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.spill import Spill
from domain.errors import StoreUnavailable, Unavailable
from domain.reports.intake import API, MAIL, Report, ReturnedMailEntry
from domain.tracking import TrackingHit

QUICK = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)
JOHN = "john@example.com"
IDS = UUID7s()


def erasure(n: int, person: str = JOHN, account_no: int = 1) -> FrontEndErasure:
    return FrontEndErasure(
        id=f"ers_{n}",
        account="acc_1" if account_no else None,
        account_no=account_no,
        person=person,
        digest="ab" * 32,
        requested_at_ms=1_772_357_400_000 + n,
    )


class Ledger:
    """The client of a ledger: erasures by number, who confirmed them, and which messages are erased."""

    def __init__(self) -> None:
        self.erasures: dict[int, FrontEndErasure] = {}
        self.confirmed: dict[str, list[str]] = {}
        self.erased_messages: set[int] = set()
        self.repeated: list[str] = []
        self.known = {""}
        self.problems: asyncio.Queue[str] = asyncio.Queue()
        self.is_away = False
        self.loses_confirmations = False

    def erase(self, made: FrontEndErasure) -> None:
        self.erasures[len(self.erasures) + 1] = made
        self.known.add(made.id)

    async def record_intake(self, entries: list[bytes]) -> None:
        raise AssertionError(entries)

    async def call(self, command: Command[Any]) -> Any:
        if self.is_away:
            raise Unavailable("the gateway is away")
        match command:
            case ReadFrontEndErasures():
                left = [e for no, e in self.erasures.items() if no > command.after and e.id not in self.confirmed]
                return FrontEndWork(erasures=left, settled=len(self.erasures), knows_last=command.last_id in self.known)
            case FindErasedMessages():
                return [key for key in command.keys if key in self.erased_messages]
            case ConfirmErasures() if self.loses_confirmations:
                raise Unavailable("the gateway was killed")
            case ConfirmErasures():
                for each in command.confirmed:
                    self.confirmed[each.id] = command.outside
            case RepeatErasures():
                missing = [each.id for each in command.erasures if each.id not in self.known]
                self.repeated += missing
                self.known.update(missing)
                return len(missing)
            case NoteFrontEndProblem():
                self.problems.put_nowait(command.problem)
        return None


class Edge:
    """A front end's data directory, journal and watch."""

    def __init__(self, data_dir: Path, ledger: Ledger, elsewhere: Path | None = None) -> None:
        self.data_dir = data_dir
        KeyFile(data_dir).write("5c0e", new_ring("ab" * 16, bytes(32), bytes, 1))
        self.journal = Journal.open(data_dir / "journal", 1 << 24, QUICK)
        files = ErasureFiles(data_dir, elsewhere)
        self.watch = ErasureWatch(ledger, self.journal, KeyFile(data_dir), files, 0.01, patience_s=0.05)

    def has(self, text: bytes) -> bool:
        return any(text in path.read_bytes() for path in self.data_dir.rglob("*") if path.is_file())


def run(tmp_path: Path, body: Callable[[Edge, Ledger], Awaitable[None]], elsewhere: Path | None = None) -> None:
    async def main() -> None:
        ledger = Ledger()
        edge = Edge(tmp_path, ledger, elsewhere)
        try:
            await body(edge, ledger)
        finally:
            await edge.watch.stop()
            await edge.journal.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def hit(message_key: int, account_no: int = 1) -> bytes:
    return encode_entry(TrackingHit(IDS.next(1), "open", account_no, message_key, 1, "", "203.0.113.7", "", "", ""))


def report(text: str, account_no: int = 1) -> bytes:
    return encode_entry(Report(IDS.next(1), account_no, API, b"key", 1, b"digest", text.encode()))


def mail(content: bytes, spool: str = "") -> bytes:
    return encode_entry(ReturnedMailEntry(IDS.next(1), 1, MAIL, b"key", 1, b"digest", content, spool))


def test_an_erasure_is_confirmed_once_the_journal_holds_nothing_from_before(tmp_path: Path) -> None:
    """Not earlier; then no byte is left, both files have its line, and later hits are still there."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        await edge.journal.append(b"a hit of john@example.com")
        ledger.erase(erasure(1))
        edge.watch.start()
        assert await ledger.problems.get() == "it has not forwarded what its journal held"
        await edge.journal.append(b"a later hit")
        assert (ledger.confirmed, edge.has(JOHN.encode())) == ({}, True)
        edge.journal.discard(1, 1)
        assert await ledger.problems.get() == ""
        assert ledger.confirmed == {"ers_1": []}
        assert not edge.has(JOHN.encode())
        assert edge.journal.read(0, 10) == [(2, b"a later hit")]
        expected = {"ers_1": ErasureLine.until(1_772_357_400_001, id="ers_1", account="acc_1", digest="ab" * 32)}
        assert read_erasures(tmp_path / "data" / FILE).lines == expected
        assert read_erasures(tmp_path / "elsewhere").lines == expected

    (tmp_path / "data").mkdir()
    run(tmp_path / "data", body, tmp_path / "elsewhere")


def test_what_arrives_during_the_erasure_leaves_no_byte_either(tmp_path: Path) -> None:
    """As long as the journal is empty for a moment."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        await edge.journal.append(b"a hit of someone")
        ledger.erase(erasure(1))
        edge.watch.start()
        await ledger.problems.get()
        await edge.journal.append(b"a hit of john@example.com during the erasure")
        edge.journal.discard(1, 2)
        assert await ledger.problems.get() == ""
        assert not edge.has(JOHN.encode())

    run(tmp_path, body)


def test_a_front_end_that_was_killed_before_its_confirmation_does_its_part_again(tmp_path: Path) -> None:
    """Each step may be repeated: the files still have one line for each erasure."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        ledger.erase(erasure(1))
        ledger.loses_confirmations = True
        with pytest.raises(Unavailable):
            await edge.watch.check()
        assert list(read_erasures(tmp_path / FILE).lines) == ["ers_1"]
        ledger.loses_confirmations = False
        again = ErasureWatch(ledger, edge.journal, KeyFile(tmp_path), ErasureFiles(tmp_path, None))
        assert await again.check()
        assert ledger.confirmed == {"ers_1": []}
        assert (tmp_path / FILE).read_bytes().count(b"\n") == 1

    run(tmp_path, body)


def test_many_erasures_need_one_new_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A script that erases thousands of people does not renew the journal for each."""
    caplog.set_level("INFO")

    async def body(edge: Edge, ledger: Ledger) -> None:
        for n in range(1, 200):
            ledger.erase(erasure(n))
        assert await edge.watch.check()
        assert len(ledger.confirmed) == len(read_erasures(tmp_path / FILE).lines) == 199
        assert not await edge.watch.check()

    run(tmp_path, body)
    assert [vars(r)["erasures"] for r in caplog.records if vars(r).get("action") == "erasures_confirmed"] == [199]


def test_a_line_that_cannot_be_written_delays_the_confirmation(tmp_path: Path) -> None:
    """An erasure that no file shows would not be repeated after a restore; the reason is reported."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        ledger.erase(erasure(1))
        (tmp_path / "elsewhere").mkdir()
        edge.watch.start()
        assert "cannot be read" in await ledger.problems.get()
        assert ledger.confirmed == {}
        (tmp_path / "elsewhere").rmdir()
        assert await ledger.problems.get() == ""
        assert "ers_1" in ledger.confirmed

    (tmp_path / "data").mkdir()
    run(tmp_path / "data", body, tmp_path / "elsewhere")


def test_entries_set_aside_go_if_they_are_the_persons(tmp_path: Path) -> None:
    """A hit by its message, everything else by the address in whatever encoding; those of others stay."""
    spooled, kept = "0123456789abcdef" * 2, "fedcba9876543210" * 2
    gone = [
        hit(7),
        report('{"recipient": "John@Example.com"}'),
        mail(b"Subject: =?utf-8?b?am9obkBleGFtcGxlLmNvbQ==?="),
        mail(b"", spooled),
        b"not an entry at all, but about john@example.com",
    ]
    stay = [
        hit(8),
        report('{"recipient": "jane@example.com"}'),
        report('{"r": "john@example.com"}', 2),
        mail(b"", kept),
    ]

    async def body(edge: Edge, ledger: Ledger) -> None:
        edge.journal.spool.write(spooled, b"To: <john@example.com>\r\n\r\n")
        edge.journal.spool.write(kept, b"To: <jane@example.com>\r\n\r\n")
        entries = [*gone, *stay]
        await edge.journal.append_reports(entries)
        for seq, entry in enumerate(entries, start=1):
            edge.journal.set_aside(seq, entry)
        edge.journal.discard(1, len(entries))
        ledger.erased_messages = {7}
        ledger.erase(erasure(1))
        await edge.watch.check()
        assert [entry for _, entry in edge.journal.set_aside_hits()] == stay
        assert edge.journal.spool.names() == [kept]

    run(tmp_path, body)


def test_a_front_end_that_returns_drops_reports_from_before(tmp_path: Path) -> None:
    """The erasure completed without it, so the address is no longer known."""
    late = Report(IDS.next(1), 1, API, b"key", 1_772_357_400_002, b"digest", b"from after the erasure")

    async def body(edge: Edge, ledger: Ledger) -> None:
        entries = [hit(7), report("whoever it is about"), encode_entry(late)]
        await edge.journal.append_reports(entries)
        for seq, entry in enumerate(entries, start=1):
            edge.journal.set_aside(seq, entry)
        edge.journal.discard(1, len(entries))
        ledger.erase(erasure(1, person=""))
        await edge.watch.check()
        assert [entry for _, entry in edge.journal.set_aside_hits()] == [entries[0], entries[2]]

    run(tmp_path, body)


def test_erasures_that_the_store_lacks_are_repeated(tmp_path: Path) -> None:
    """At the start, and when an older store takes the place of the one that knew the last erasure."""
    here, there = tmp_path / "data", tmp_path / "elsewhere"
    here.mkdir()
    lines = [ErasureLine.until(n, id=f"ers_{n}", account=None, digest="ab" * 32) for n in range(1, 4)]
    add_erasures(here / FILE, lines[:2])
    add_erasures(there, lines[1:])

    async def body(edge: Edge, ledger: Ledger) -> None:
        ledger.known.add("ers_2")
        await edge.watch.check()
        assert ledger.repeated == ["ers_1", "ers_3"]
        assert len(read_erasures(here / FILE).lines) == len(read_erasures(there).lines) == 3
        ledger.known = {""}
        assert await edge.watch.check()
        assert ledger.repeated == ["ers_1", "ers_3", "ers_1", "ers_2", "ers_3"]

    run(here, body, there)


def test_later_bytes_of_the_erased_go_with_the_next_renewal(tmp_path: Path) -> None:
    """A front end that knows erasures renews its journal after a start: a restored one may hold what was erased."""
    add_erasures(tmp_path / FILE, [ErasureLine.until(1, id="ers_1", account=None, digest="ab" * 32)])

    async def body(edge: Edge, ledger: Ledger) -> None:
        ledger.known.add("ers_1")
        await edge.journal.append(b"a late hit of john@example.com")
        await edge.watch.check()
        assert edge.has(JOHN.encode())
        edge.journal.discard(1, 1)
        while edge.has(JOHN.encode()):
            await asyncio.sleep(0.01)
            await edge.watch.check()

    run(tmp_path, body)


def test_hits_that_an_earlier_stop_spilled_come_first(tmp_path: Path) -> None:
    """They are on another disk until they are in the journal; damaged ones have to be removed by people."""
    folder, data_dir = tmp_path / "spill", tmp_path / "data"
    folder.mkdir()
    data_dir.mkdir()
    spill = Spill(folder, "1234")
    spill.write([b"a hit of john@example.com"])
    (path,) = spill.files()

    async def body(edge: Edge, ledger: Ledger) -> None:
        edge.watch = ErasureWatch(
            ledger, edge.journal, KeyFile(data_dir), ErasureFiles(data_dir, None, spill=spill), 0.01, patience_s=0.05
        )
        spill.write([b"spilled by another front end, which is still to import it"])
        ledger.erase(erasure(1))
        edge.watch.start()
        assert await ledger.problems.get() == "it has not put all spilled hits into its journal"
        assert ledger.confirmed == {}
        spill.set_aside(path)
        assert await ledger.problems.get() == ""
        (outside,) = ledger.confirmed["ers_1"]
        assert outside.startswith(f"{path.with_suffix('.damaged')} on ")

    run(data_dir, body)


def test_files_that_people_have_to_remove_are_named(tmp_path: Path) -> None:
    """They may hold what is nowhere else, so they stay, and the erasure shows them."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        (tmp_path / "journal.corrupt-17").mkdir()
        ledger.erase(erasure(1))
        await edge.watch.check()
        (outside,) = ledger.confirmed["ers_1"]
        assert outside.startswith("journal.corrupt-17 in the data directory of ")

    run(tmp_path, body)


def test_a_gateway_that_is_away_delays_and_ends_nothing(tmp_path: Path) -> None:
    """The watch goes on once the gateway is back."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        ledger.is_away = True
        ledger.erase(erasure(1))
        with pytest.raises(Unavailable):
            await edge.watch.check()
        edge.watch.start()
        ledger.is_away = False
        while "ers_1" not in ledger.confirmed:
            await asyncio.sleep(0.01)

    run(tmp_path, body)


def test_the_problem_of_an_earlier_start_is_cleared(tmp_path: Path) -> None:
    """It may have ended with that process."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        edge.watch.start()
        assert await ledger.problems.get() == ""

    run(tmp_path, body)


def test_a_data_directory_without_keys_has_nothing_to_confirm(tmp_path: Path) -> None:
    """Its id would be another one each time."""

    async def body(edge: Edge, ledger: Ledger) -> None:
        (tmp_path / "keys.json").unlink()
        with pytest.raises(StoreUnavailable, match="no keys"):
            await edge.watch.check()

    run(tmp_path, body)
