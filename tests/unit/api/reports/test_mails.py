"""`POST /v1/mime`: limits, the journal, and the spool of large mails."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from actors.commands.command import Command
from actors.commands.intake import encode_batch, read_batch
from api.app import create_app
from api.journal.forwarder import Forwarder, ForwarderLimits
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.spool import MAX_INLINE_BYTES, Spool
from api.reports.intake import ReportIntake, Sender
from domain.errors import FeedbackLoopsError, InvalidInput, JournalUnavailable, UnknownIntake
from domain.reports.intake import ReturnedMailEntry
from domain.return_path import ReturnPathTokens
from tests.keys import KEYS, FixedKeys
from tests.unit.api.fake_api import Api, FakeForwarder, FakeSettings, FakeTracking, problem, run
from tests.unit.api.journal.test_journal import MIB, QUICK, GatedStore, eventually

MIME = "/v1/mime"
RFC822 = {"Content-Type": "message/rfc822"}
SENDER = Sender(1, b"k" * 32)
SMALL = b"From: a@b.example\n\nsmall\n"
LARGE = b"From: a@b.example\n\n" + b"x" * MAX_INLINE_BYTES


def test_a_mail_is_journaled_as_it_is() -> None:
    """Any bytes are accepted; an empty mail, one over 10 MiB and another media type are refused."""

    async def scenario() -> None:
        async with Api() as api:
            for mail in (SMALL, b"\xff\x00 8-bit rubbish", b"\r\n.\r\n"):
                answer = await api.call("POST", MIME, content=mail, headers=RFC822)
                assert answer.status_code == 202
                [entry] = read_batch(encode_batch([api.journal.reports[-1]])).entries
                assert isinstance(entry, ReturnedMailEntry)
                assert (entry.mime, entry.source, entry.spool) == (mail, "mail", "")
                assert answer.json() == {"id": f"rep_{entry.event_id.hex()}"}
            latin = {"Content-Type": "message/rfc822; charset=iso-8859-1"}
            assert (await api.call("POST", MIME, content=b"caf\xe9", headers=latin)).status_code == 202
            for mail in (b"", b" \r\n"):
                problem(await api.call("POST", MIME, content=mail, headers=RFC822), 422, "invalid-input")
            too_large = b"x" * (10 * MIB + 1)
            problem(await api.call("POST", MIME, content=too_large, headers=RFC822), 413, "body-too-large")
            found = problem(await api.call("POST", MIME, json={}), 415, "unsupported-media-type")
            assert "must be message/rfc822, not application/json" in found["detail"]
            assert "send the returned mail itself" in found["detail"]
            api.journal.problem = "the disk is full"
            answer = await api.call("POST", MIME, content=SMALL, headers=RFC822)
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"

    run(scenario())


def test_messages_have_return_paths_with_a_return_domain() -> None:
    """The address is in the answer to the registration and in the message; its token is the message's."""

    async def scenario() -> None:
        async with Api() as api:
            settings = FakeSettings()
            settings.return_domain = "return.example"
            app = create_app(
                settings,
                api.client,
                api.tokens,
                FakeTracking(),
                api.journal,
                FakeForwarder(api.steps),
                installation_keys=FixedKeys(),
            )
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://api.example"
            ) as with_domain:
                headers = {"Authorization": f"Bearer {api.key}"}
                body = {"recipient": "a@b.example", "html": "<p>"}
                answer = (await with_domain.post("/v1/messages", json=body, headers=headers)).json()
                shown = (await with_domain.get(f"/v1/messages/{answer['id']}", headers=headers)).json()
            tokens = ReturnPathTokens.of_installation(KEYS)
            assert answer["return_path"].endswith("@return.example")
            assert tokens.read_address(answer["return_path"]).account_no == 1
            assert shown["return_path"] == answer["return_path"]
            without = await api.call("POST", "/v1/messages", json=body)
            assert "return_path" not in without.json()

    run(scenario())


class Ledger:
    """A client that keeps what it is sent; `error` makes it fail."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.error: FeedbackLoopsError | None = None
        self.calls = 0

    async def call(self, command: Command[Any]) -> Any:
        raise NotImplementedError(command)

    async def record_intake(self, entries: list[bytes]) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.batches.append(read_batch(encode_batch(entries)).entries)


def with_journal(path: Path, body: Any, max_bytes: int = 64 * MIB) -> None:
    async def main() -> None:
        journal = Journal.open(path / "journal", max_bytes, QUICK)
        try:
            await body(journal, ReportIntake(journal, lambda: 1_700_000_000_000))
        finally:
            await journal.close()

    asyncio.run(main())


def files(path: Path) -> list[str]:
    folder = path / "spool"
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_a_large_mail_is_in_a_file_until_it_is_recorded(tmp_path: Path) -> None:
    """The record names the file; the ledger gets the whole mail, alone in its batch; then both are removed."""

    async def body(journal: Journal, intake: ReportIntake) -> None:
        ids = [await intake.accept_mail(mail, SENDER) for mail in (SMALL, LARGE, LARGE + b"y", SMALL)]
        assert files(tmp_path) == sorted(id_.hex() for id_ in ids[1:3])
        assert max(len(entry) for _, entry in journal.read(0, 10)) < 1000
        ledger = Ledger()
        forwarder = Forwarder(journal, ledger)
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        assert [[entry.mime for entry in batch] for batch in ledger.batches] == [
            [SMALL],
            [LARGE],
            [LARGE + b"y"],
            [SMALL],
        ]
        await eventually(lambda: files(tmp_path) == [])
        await eventually(lambda: journal.spool.size == 0)
        await forwarder.stop(0)

    with_journal(tmp_path, body)


def test_files_wait_with_their_records(tmp_path: Path) -> None:
    """After a restart the mail is still there; a file without a record is removed."""

    async def accept(_: Journal, intake: ReportIntake) -> None:
        await intake.accept_mail(LARGE, SENDER)

    async def read(journal: Journal, _: ReportIntake) -> None:
        assert journal.depth == 1
        assert len(files(tmp_path)) == 1
        assert (tmp_path / "spool" / files(tmp_path)[0]).read_bytes() == LARGE

    with_journal(tmp_path, accept)
    (tmp_path / "spool" / ("f" * 32)).write_bytes(b"written, but its record was not")
    with_journal(tmp_path, read)


def test_a_corrupt_journal_keeps_its_spool(tmp_path: Path) -> None:
    """The spool is moved aside with the journal, under the same name, and a new one begins."""

    async def accept(_: Journal, intake: ReportIntake) -> None:
        await intake.accept_mail(LARGE, SENDER)

    async def again(journal: Journal, intake: ReportIntake) -> None:
        assert journal.depth == 0
        await intake.accept_mail(LARGE, SENDER)
        assert journal.spool.size == len(LARGE)

    with_journal(tmp_path, accept)
    (tmp_path / "journal" / "data.mdb").write_bytes(b"no database" * 1000)
    with_journal(tmp_path, again)
    (journal,) = tmp_path.glob("journal.corrupt-*")
    (spool,) = tmp_path.glob("spool.corrupt-*")
    assert spool.name.removeprefix("spool") == journal.name.removeprefix("journal")
    assert [file.read_bytes() for file in spool.iterdir()] == [LARGE]


def test_a_mail_that_waits_for_newer_actors_is_removed_in_the_end(tmp_path: Path) -> None:
    """Its file stays while they cannot read it, and goes with its record; such mails are not sent together."""

    async def body(journal: Journal, intake: ReportIntake) -> None:
        for mail in (LARGE, LARGE + b"y"):
            await intake.accept_mail(mail, SENDER)
        ledger = Ledger()
        ledger.error = UnknownIntake("of a newer version", [0])
        forwarder = Forwarder(journal, ledger, ForwarderLimits(unknown_retry_s=0.01))
        await forwarder.start()
        await eventually(lambda: ledger.calls > 4)
        assert (journal.depth, len(files(tmp_path))) == (2, 2)
        ledger.error = None
        await eventually(lambda: journal.depth == 0 and files(tmp_path) == [])
        assert sorted([entry.mime for entry in batch] for batch in ledger.batches) == [[LARGE], [LARGE + b"y"]]
        await forwarder.stop(0)

    with_journal(tmp_path, body)


def test_a_mail_that_is_set_aside_keeps_its_file(tmp_path: Path) -> None:
    """The record that was set aside names it, so that the mail can be imported later."""

    async def body(journal: Journal, intake: ReportIntake) -> None:
        await intake.accept_mail(LARGE, SENDER)
        ledger = Ledger()
        ledger.error = InvalidInput("cannot be decoded")
        forwarder = Forwarder(journal, ledger)
        await forwarder.start()
        await eventually(lambda: len(journal.set_aside_hits()) == 1)
        await forwarder.stop(0)

    with_journal(tmp_path, body)
    assert [(tmp_path / "spool" / name).read_bytes() for name in files(tmp_path)] == [LARGE]


def test_a_mail_without_its_file_is_sent_without_it(tmp_path: Path) -> None:
    """The enricher then decides whether the mail is lost; the record does not stay for ever."""

    async def body(journal: Journal, intake: ReportIntake) -> None:
        await intake.accept_mail(LARGE, SENDER)
        (tmp_path / "spool" / files(tmp_path)[0]).unlink()
        ledger = Ledger()
        forwarder = Forwarder(journal, ledger)
        await forwarder.start()
        await eventually(lambda: journal.depth == 0)
        [[entry]] = ledger.batches
        assert (entry.mime, len(entry.spool)) == (b"", 32)
        await forwarder.stop(0)

    with_journal(tmp_path, body)


def test_the_spool_is_bounded(tmp_path: Path) -> None:
    """It takes as much as the journal may, so that large mails cannot fill the disk; refused mails leave no file."""

    async def body(_: Journal, intake: ReportIntake) -> None:
        mail = b"x" * (3 * MIB)
        await intake.accept_mail(mail, SENDER)
        await intake.accept_mail(mail + b"2", SENDER)
        with pytest.raises(JournalUnavailable, match="spool"):
            await intake.accept_mail(mail + b"3", SENDER)
        assert len(files(tmp_path)) == 2

    with_journal(tmp_path, body, max_bytes=8 * MIB)


def test_a_refused_record_leaves_no_file(tmp_path: Path) -> None:
    """A mail that the journal refuses was not accepted, so its file goes."""

    async def body(journal: Journal, intake: ReportIntake) -> None:
        async def fill(size: int) -> None:
            while True:
                await journal.append_reports([b"r" * size])

        for size in (50_000, 5_000, 100):
            with pytest.raises(JournalUnavailable, match="half of the journal"):
                await fill(size)
        with pytest.raises(JournalUnavailable, match="half of the journal"):
            await intake.accept_mail(LARGE, SENDER)
        assert files(tmp_path) == []

    with_journal(tmp_path, body, max_bytes=4 * MIB)


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_record_that_may_be_on_disk_decides_about_its_file(tmp_path: Path, is_saved: bool) -> None:
    """A commit that takes too long refuses its mail; once it ends, the file goes unless the record was written."""

    async def main() -> None:
        store = GatedStore(tmp_path / "journal")
        limits = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=0.05)
        journal = Journal(store, limits, Spool(tmp_path / "spool", 64 * MIB))
        with pytest.raises(JournalUnavailable) as caught:
            await ReportIntake(journal, lambda: 1_700_000_000_000).accept_mail(LARGE, SENDER)
        assert caught.value.may_have_run
        assert len(files(tmp_path)) == 1
        store.passes.put(None if is_saved else "no space left")
        for _ in range(2):  # the next write decides
            await store.wait_for_write()
        store.passes.put(None)
        await eventually(lambda: journal.problem is None)
        assert (journal.depth, len(files(tmp_path))) == ((1, 1) if is_saved else (0, 0))
        store.passes.put(None)
        await journal.close()

    asyncio.run(main())


def test_names_of_files_are_checked(tmp_path: Path) -> None:
    """No record of a journal can name a file outside the spool."""
    spool = Spool(tmp_path / "spool", MIB)
    (tmp_path / "secret").write_text("x")
    assert spool.read("../secret") is None
    threads = [threading.Thread(target=spool.write, args=(f"{n:032x}", b"m" * 10)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.size == 200
    for name in spool.names():
        spool.remove(name)
    assert spool.size == 0
