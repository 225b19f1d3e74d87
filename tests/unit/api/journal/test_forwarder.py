"""The forwarder: every hit at least once, whatever the ledger does, and with bounded load."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors.commands.command import Command
from actors.commands.intake import encode_entry
from api.journal.forwarder import Forwarder, ForwarderLimits
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from domain.errors import InvalidInput, Overloaded, StoreUnavailable, Unavailable, UnknownIntake
from domain.reports.intake import MAIL, ReturnedMailEntry

MIB = 1 << 20
QUICK = ForwarderLimits(first_backoff_s=0.001, last_backoff_s=0.01, pool_s=0.001, unknown_retry_s=0.01)


class Ledger:
    """Records hits like the real ledger: bounded batches, poison refused. `trouble` may delay or raise for a call."""

    def __init__(self) -> None:
        self.recorded: Counter[bytes] = Counter()
        self.batches: list[list[bytes]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.poison: set[bytes] = set()
        self.unknown: set[bytes] = set()
        self.dies_after = 0
        self.trouble: Callable[[int], Awaitable[None]] | None = None

    async def call(self, command: Command[Any]) -> Any:
        raise NotImplementedError(command)

    async def record_intake(self, entries: list[bytes]) -> None:
        assert 0 < len(entries) <= 256
        self.batches.append(entries)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.trouble:
                await self.trouble(len(self.batches))
            if self.poison & set(entries):
                raise InvalidInput("a hit cannot be decoded")
            unread = [position for position, entry in enumerate(entries) if entry in self.unknown]
            self.recorded.update(entry for entry in entries if entry not in self.unknown)
            if unread:
                raise UnknownIntake("of a newer version", unread)
            if len(self.batches) <= self.dies_after:
                raise Unavailable("gone after the work", may_have_run=True)
        finally:
            self.under_way -= 1


def hits(first: int, last: int) -> list[bytes]:
    return [b"hit %d" % n for n in range(first, last + 1)]


async def append_all(journal: Journal, hits: list[bytes]) -> None:
    await asyncio.gather(*(journal.append(hit) for hit in hits))


async def eventually(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.002)


def run(
    path: Path, body: Callable[[Journal, Ledger, Forwarder], Awaitable[None]], limits: ForwarderLimits = QUICK
) -> None:
    """Runs `body` with a journal, a ledger and a forwarder between them that is not started yet."""

    async def main() -> None:
        journal = Journal.open(path / "j", 64 * MIB, JournalLimits(retry_s=0.02, removal_delay_s=0.01))
        ledger = Ledger()
        forwarder = Forwarder(journal, ledger, limits)
        await body(journal, ledger, forwarder)
        await forwarder.stop(drain_s=0)
        await journal.close()

    asyncio.run(main())


def test_hits_reach_the_ledger_and_leave_the_journal(tmp_path: Path) -> None:
    """Hits from before and after the start are recorded once, and then removed from the journal."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        await append_all(journal, hits(1, 600))
        await forwarder.start()
        await append_all(journal, hits(601, 1000))
        await eventually(lambda: journal.depth == 0)
        assert ledger.recorded == Counter(hits(1, 1000))

    run(tmp_path, body)


def test_a_lone_hit_is_sent_at_once_and_others_are_batched(tmp_path: Path) -> None:
    """With nothing in flight a hit is sent at once; hits that arrive meanwhile share the next batch."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        gate = asyncio.Event()

        async def hold_the_first(call: int) -> None:
            if call == 1:
                await gate.wait()

        ledger.trouble = hold_the_first
        await forwarder.start()
        await journal.append(b"lone")
        await eventually(lambda: ledger.under_way == 1)
        for hit in hits(1, 64):
            await journal.append(hit)
        await eventually(lambda: len(ledger.batches) == 2)
        assert [len(batch) for batch in ledger.batches] == [1, 64]
        gate.set()

    run(tmp_path, body, ForwarderLimits(pool_s=60))


def test_batches_in_flight_are_bounded(tmp_path: Path) -> None:
    """Whatever the size of the journal, at most four batches are in flight."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        gate = asyncio.Event()

        async def hold(_: int) -> None:
            await gate.wait()

        ledger.trouble = hold
        await append_all(journal, hits(1, 5000))
        await forwarder.start()
        await eventually(lambda: ledger.under_way == 4)
        await append_all(journal, hits(5001, 5010))
        assert (ledger.under_way, forwarder.in_flight) == (4, 4)
        gate.set()
        await eventually(lambda: journal.depth == 0)
        assert ledger.most_under_way == 4
        assert ledger.recorded == Counter(hits(1, 5010))

    run(tmp_path, body)


def test_batches_are_bounded_by_bytes(tmp_path: Path) -> None:
    """A batch stays below 90 KB; a larger hit gets a batch by itself."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        large, huge = [b"%03d" % n + b"x" * 10_000 for n in range(50)], b"y" * 95_000
        await append_all(journal, [*large, huge])
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        assert ledger.recorded == Counter([*large, huge])
        sizes = [sum(map(len, batch)) for batch in ledger.batches]
        assert max(sizes) == 95_000
        assert all(size <= 90_000 for size in sizes if size != 95_000)

    run(tmp_path, body)


def test_a_ledger_that_fails_at_random_gets_every_hit(tmp_path: Path) -> None:
    """Errors of every kind, early or in the middle of a batch, delay hits and lose none."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        async def fail(call: int) -> None:
            await asyncio.sleep(0.001 * (call % 3))
            if call % 4 == 0:
                raise Unavailable("the gateway died amid the call", may_have_run=True)
            if call % 4 == 1:
                raise StoreUnavailable("the store is away")
            if call % 4 == 2:
                raise Overloaded("too much")
            if call % 7 == 0:
                raise ZeroDivisionError

        ledger.trouble = fail
        await forwarder.start()
        for start in range(1, 2000, 100):
            await append_all(journal, hits(start, start + 99))
        await eventually(lambda: journal.depth == 0, 30)
        assert set(ledger.recorded) == set(hits(1, 2000))

    run(tmp_path, body)


def test_a_batch_that_was_recorded_but_not_acknowledged_is_sent_again(tmp_path: Path) -> None:
    """If the ledger dies after its commit, the same hits are sent again byte for byte, and their ids identify them."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        ledger.dies_after = 2
        await append_all(journal, hits(1, 10))
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        assert ledger.batches == [hits(1, 10)] * 3

    run(tmp_path, body)


def test_an_outage_is_reported_until_it_ends(tmp_path: Path) -> None:
    """During it `problem` has the reason and the journal keeps everything; afterwards all hits are recorded."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        async def refuse(_: int) -> None:
            raise Unavailable("no gateway")

        ledger.trouble = refuse
        await forwarder.start()
        await append_all(journal, hits(1, 10))
        await eventually(lambda: len(ledger.batches) > 3)
        assert (forwarder.problem, journal.depth) == ("Unavailable: no gateway", 10)
        ledger.trouble = None
        await eventually(lambda: journal.depth == 0)
        assert forwarder.problem is None

    run(tmp_path, body)


def test_poison_is_set_aside_and_blocks_nothing(tmp_path: Path) -> None:
    """Hits that can never be recorded go to the poison database; the rest of their batches is recorded."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        ledger.poison = {b"hit 7", b"hit 100", b"hit 101"}
        await append_all(journal, hits(1, 300))
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        assert ledger.recorded == Counter(set(hits(1, 300)) - ledger.poison)
        await eventually(lambda: len(journal.set_aside_hits()) == 3)
        assert {hit for _, hit in journal.set_aside_hits()} == ledger.poison

    run(tmp_path, body)


def test_entries_of_a_newer_version_stay_in_the_journal(tmp_path: Path) -> None:
    """They block no other entry and are sent again until updated actors record them, even after a restart."""
    newer = {b"hit 7", b"hit 100", b"hit 101", b"hit 300"}

    async def not_updated(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        ledger.unknown = newer
        await append_all(journal, hits(1, 300))
        await forwarder.start()
        await eventually(lambda: journal.depth == len(newer))
        assert ledger.recorded == Counter(set(hits(1, 300)) - newer)
        await eventually(lambda: ledger.batches.count(sorted(newer, key=hits(1, 300).index)) > 2)
        assert (journal.depth, forwarder.problem, journal.set_aside_hits()) == (len(newer), None, [])

    async def updated(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        ledger.unknown = newer - {b"hit 7"}
        await forwarder.start()
        await eventually(lambda: journal.depth == len(newer) - 1)
        ledger.unknown = set()
        await eventually(lambda: journal.depth == 0)
        assert ledger.recorded == Counter(newer)

    run(tmp_path, not_updated)
    run(tmp_path, updated)


def test_a_restart_forwards_what_was_not_acknowledged(tmp_path: Path) -> None:
    """A forwarder stopped during its work leaves the rest in the journal for the next one."""

    async def stopped(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        async def hang(call: int) -> None:
            if call > 1:
                await asyncio.Event().wait()

        ledger.trouble = hang
        await append_all(journal, hits(1, 600))
        await forwarder.start()
        await eventually(lambda: journal.depth == 344)
        await forwarder.stop(drain_s=0.01)
        assert (ledger.under_way, forwarder.in_flight) == (0, 0)

    async def started_again(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        assert journal.depth == 344
        await forwarder.start()
        await forwarder.stop(drain_s=10)
        assert ledger.recorded == Counter(hits(257, 600))

    run(tmp_path, stopped)
    run(tmp_path, started_again)


def test_stopping_drains_the_journal_first(tmp_path: Path) -> None:
    """With enough time everything is recorded by the time the stop returns."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        await forwarder.start()
        await append_all(journal, hits(1, 1000))
        await forwarder.stop(drain_s=10)
        assert journal.depth == 0
        assert ledger.recorded == Counter(hits(1, 1000))

    run(tmp_path, body)


def test_hits_kept_in_memory_are_forwarded_too(tmp_path: Path) -> None:
    """If the journal accepts nothing, hits are forwarded from memory."""

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", 100_000, JournalLimits(retry_s=60, removal_delay_s=60))
        ledger = Ledger()
        forwarder = Forwarder(journal, ledger, QUICK)
        count = 0
        while journal.problem is None:
            await append_all(journal, [b"%05d" % n + b"x" * 1000 for n in range(count, count + 50)])
            count += 50
        await append_all(journal, hits(1, 500))
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        assert journal.problem is not None
        assert set(hits(1, 500)) < set(ledger.recorded)
        assert len(ledger.recorded) == count + 500
        await forwarder.stop(drain_s=0)
        await journal.close()

    asyncio.run(main())


def test_hits_do_not_wait_for_returned_mails(tmp_path: Path) -> None:
    """However many mails are being parsed, hits behind them are sent at once; mails have a few batches of their own."""

    async def body(journal: Journal, ledger: Ledger, forwarder: Forwarder) -> None:
        gate = asyncio.Event()
        mails = [returned_mail(number, b"x" * 40_000) for number in range(100)]

        async def hold_mails(_: int) -> None:
            if ledger.batches[-1][0] in mails:
                await gate.wait()

        ledger.trouble = hold_mails
        await forwarder.start()
        await journal.append_reports(mails)
        await eventually(lambda: ledger.under_way == 2)
        await append_all(journal, hits(1, 300))
        await eventually(lambda: ledger.recorded == Counter(hits(1, 300)))
        assert ledger.under_way == 2
        gate.set()
        await eventually(lambda: journal.depth == 0)
        assert ledger.recorded == Counter([*hits(1, 300), *mails])
        assert all(len(batch) <= 2 for batch in ledger.batches if batch[0] in mails)

    run(tmp_path, body)


def returned_mail(number: int, mime: bytes) -> bytes:
    event_id = number.to_bytes(16, "big")
    return encode_entry(ReturnedMailEntry(event_id, 1, MAIL, b"k" * 32, 1, event_id * 2, mime))
