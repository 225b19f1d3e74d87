"""The parser's process: its limits, and what happens when a mail ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.returned_mail.parser import MailParser
from actors.returned_mail.worker import WorkerLimits
from domain.errors import Unavailable
from domain.returned_mail.reader import UNREADABLE, read
from tests.returned_mail_samples import samples

MAIL = b"From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n<a@example.com>:\n550 5.1.1 no such user\n"


@contextlib.asynccontextmanager
async def hostile(limits: WorkerLimits) -> AsyncIterator[MailParser]:
    parser = MailParser(limits, "tests.hostile_parser_process")
    try:
        yield parser
    finally:
        await parser.close()


def pid_of(parser: MailParser) -> int:
    assert parser._process is not None
    return parser._process.pid


def test_a_mail_is_parsed_as_in_this_process_and_the_process_is_reused() -> None:
    """The report of each mail crosses the pipe unchanged; one process parses all of them."""

    async def run() -> None:
        parser = MailParser()
        assert await parser.parse(MAIL, "b@example.net") == read(MAIL, "b@example.net")
        pid = pid_of(parser)
        for sample in samples()[:40]:
            expected = read(sample.raw)
            if any(recipient.address for recipient in expected.recipients):
                assert await parser.parse(sample.raw) == expected
        assert (pid_of(parser), parser.deaths) == (pid, 0)
        await parser.close()

    asyncio.run(run())


def test_the_fallback_finds_recipients_that_the_parser_does_not() -> None:
    """A bounce without a recipient for our parser gets those that flufl.bounce finds, with its own reason."""
    mail = next(sample.raw for sample in samples() if sample.name == "yale_01.txt")
    assert [recipient.address for recipient in read(mail).recipients] == [""]

    async def run() -> list[str]:
        parser = MailParser()
        report = await parser.parse(mail)
        await parser.close()
        return [recipient.address for recipient in report.recipients]

    assert asyncio.run(run()) == ["userx@cs.yale.edu", "userx@yale.edu"]


@pytest.mark.parametrize(
    ("order", "limits"),
    [
        pytest.param(b"exit", WorkerLimits(), id="ends the process"),
        pytest.param(b"hang", WorkerLimits(time_s=0.3), id="takes too long"),
        pytest.param(b"spin", WorkerLimits(cpu_s=0), id="takes too much CPU time"),
        pytest.param(b"fill", WorkerLimits(), id="takes too much memory"),
    ],
)
def test_a_mail_that_ends_the_process_twice_is_unreadable_and_the_next_is_parsed(
    order: bytes, limits: WorkerLimits
) -> None:
    """A hostile mail costs two processes and nothing else."""

    async def run() -> None:
        async with hostile(limits) as parser:
            assert await parser.parse(order) == UNREADABLE
            assert parser.deaths == 2
            parser._limits = WorkerLimits()
            assert await parser.parse(MAIL) == read(MAIL)
            assert parser.deaths == 2

    asyncio.run(run())


def test_a_mail_that_ends_the_process_once_is_parsed_by_the_next(tmp_path: Path) -> None:
    """Something else may have ended the first process."""

    async def run() -> None:
        async with hostile(WorkerLimits()) as parser:
            marker = str(tmp_path / "once")
            assert await parser.parse(b"exit once", marker) == read(b"exit once", marker)
            assert parser.deaths == 1

    asyncio.run(run())


def test_an_error_of_the_parser_makes_the_mail_unreadable_and_leaves_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is logged. The process goes on with the next mail."""

    async def run() -> None:
        async with hostile(WorkerLimits()) as parser:
            assert await parser.parse(MAIL) == read(MAIL)
            pid = pid_of(parser)
            assert await parser.parse(b"raise") == UNREADABLE
            assert await parser.parse(MAIL) == read(MAIL)
            assert (pid_of(parser), parser.deaths) == (pid, 0)

    asyncio.run(run())

    assert [vars(record)["error"] for record in caplog.records] == ["ValueError: odd mail"]


def test_a_process_that_was_killed_between_two_mails_is_replaced() -> None:
    """The next mail is parsed by another process."""

    async def run() -> None:
        parser = MailParser()
        await parser.parse(MAIL)
        pid = pid_of(parser)
        os.kill(pid, signal.SIGKILL)
        assert await parser.parse(MAIL) == read(MAIL)
        assert pid_of(parser) != pid
        await parser.close()

    asyncio.run(run())


def test_an_abandoned_mail_does_not_answer_the_next_one() -> None:
    """After a cancelled call, another process parses the next mail."""

    async def run() -> None:
        async with hostile(WorkerLimits()) as parser:
            await parser.parse(MAIL)
            pid = pid_of(parser)
            abandoned = asyncio.create_task(parser.parse(b"hang"))
            await asyncio.sleep(0)
            abandoned.cancel()
            with pytest.raises(asyncio.CancelledError):
                await abandoned
            assert await parser.parse(MAIL) == read(MAIL)
            assert (pid_of(parser) != pid, parser.deaths) == (True, 0)

    asyncio.run(run())


def test_calls_at_the_same_time_get_their_own_answers() -> None:
    """The process parses one mail after the other, in the order of the calls."""
    mails = [sample.raw for sample in samples() if sample.kind == "failed"][:20]

    async def run() -> list[object]:
        parser = MailParser()
        reports = await asyncio.gather(*(parser.parse(mail) for mail in mails))
        await parser.close()
        return list(reports)

    assert asyncio.run(run()) == [read(mail) for mail in mails]


def test_a_process_that_does_not_start_is_no_fault_of_the_mail() -> None:
    """The caller can parse the mail later; it is not unreadable."""

    async def run() -> None:
        parser = MailParser(module="actors.returned_mail.no_such_module")
        with pytest.raises(Unavailable):
            await parser.parse(MAIL)
        assert parser.deaths == 0

    asyncio.run(run())


def test_a_mail_of_the_largest_size_is_parsed_within_the_limits() -> None:
    """10 MiB of nested parts fit into the memory of the process."""
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(30))
    mail = nested + b"\n" + b"x" * (10 << 20)

    async def run() -> None:
        parser = MailParser()
        report = await parser.parse(mail)
        assert (report.truncated, parser.deaths) == (True, 0)
        await parser.close()

    asyncio.run(run())
