"""Intake of reports: validates them, makes journal entries of them, and journals these before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from actors.adapters.uuid7 import UUID7s
from actors.commands.intake import encode_entry
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from api.http.body import check_json_tokens, run_in_thread_if_long
from api.http.problems import ProblemError
from api.http.strict_json import read_json
from api.journal.spool import MAX_INLINE_BYTES, Spool
from domain.errors import FeedbackLoopsError, InvalidInput, JournalUnavailable
from domain.kept_ip import KeepIp
from domain.reports.intake import API, MAIL, Report, ReturnedMailEntry, mail_digest, report_digest
from domain.reports.validation import MAX_REPORTS, CanonicalReport, canonical_report, canonical_reports

#: Opening brackets and commas of a body, which bound the time that parsing takes.
MAX_TOKENS: Final = 400_000
#: Problems listed for one line of an NDJSON body.
_MAX_PROBLEMS_OF_LINE: Final = 10


class ReportJournal(Protocol):
    """The part of the edge journal that takes reports."""

    @property
    def spool(self) -> Spool: ...

    async def append_reports(self, entries: Sequence[bytes]) -> None:
        """Adds entries in one commit; returns when they are durable.

        Raises:
            JournalUnavailable, Overloaded: they were refused.
        """
        ...

    def discard_file_without_record(self, name: str) -> None:
        """Removes the spool file of a refused report soon, unless the report turns out to be on disk."""
        ...


class Sender(NamedTuple):
    """The sender of a report."""

    account_no: int
    #: SHA-256 of the API key.
    key_hash: bytes


class LineProblem(NamedTuple):
    """The problem of a line of an NDJSON body; the first line is 1."""

    line: int
    pointer: str
    detail: str


class ReportIntake:
    """Accepts reports and returned mails. What a method accepted is durable when it returns."""

    def __init__(
        self,
        journal: ReportJournal,
        now_ms: Callable[[], int],
        keep_ip: KeepIp = KeepIp.FULL,
        watch: DataDirWatch = UNWATCHED,
    ) -> None:
        """`now_ms` is Unix time in milliseconds. Nothing is accepted while the data directory is lost."""
        self._keep_ip = keep_ip
        self._journal = journal
        self._watch = watch
        self._now_ms = now_ms
        self._ids = UUID7s()

    async def accept_json(self, body: bytes, sender: Sender) -> int:
        """Accepts an object or an array of objects, all or nothing. Returns their number.

        Raises:
            ProblemError: the body is not JSON.
            InvalidInput: with the problems of all reports.
            JournalUnavailable, DataDirLost, Overloaded: nothing was accepted.
        """
        now_ms = self._now_ms()
        reports = await run_in_thread_if_long(len(body), _read_body, body, now_ms, self._keep_ip)
        await self._append(await self._encoded(len(body), reports, sender, now_ms))
        return len(reports)

    async def accept_lines(self, body: bytes, sender: Sender) -> tuple[int, list[LineProblem]]:
        """Accepts the valid lines of an NDJSON body. Returns their number, and what is wrong with the others.

        Raises:
            InvalidInput: there is no line, or there are too many.
            JournalUnavailable, DataDirLost, Overloaded: nothing was accepted.
        """
        now_ms = self._now_ms()
        reports, problems = await run_in_thread_if_long(len(body), _read_lines, body, now_ms, self._keep_ip)
        if reports:
            await self._append(await self._encoded(len(body), reports, sender, now_ms))
        return len(reports), problems

    async def accept_mail(self, mail: bytes, sender: Sender) -> bytes:
        """Accepts a returned mail. Returns the report's id.

        Raises:
            InvalidInput: it is empty.
            JournalUnavailable, DataDirLost, Overloaded: it was not accepted.
        """
        if not mail.strip():
            raise InvalidInput.at("", "must not be empty")
        now_ms = self._now_ms()
        report_id = self._ids.next(now_ms)
        digest = await run_in_thread_if_long(len(mail), mail_digest, sender.account_no, MAIL, mail)
        entry = ReturnedMailEntry(report_id, sender.account_no, MAIL, sender.key_hash, now_ms, digest, mail)
        if len(mail) <= MAX_INLINE_BYTES:
            await self._append([encode_entry(entry)])
            return report_id
        spool, name = self._journal.spool, report_id.hex()
        self._watch.require()
        await asyncio.to_thread(spool.write, name, mail)
        try:
            await self._append([encode_entry(entry._replace(mime=b"", spool=name))])
        except FeedbackLoopsError as exc:
            if isinstance(exc, JournalUnavailable) and exc.may_have_run:
                self._journal.discard_file_without_record(name)
            else:
                await asyncio.to_thread(spool.remove, name)
            raise
        return report_id

    async def _encoded(self, size: int, reports: Sequence[CanonicalReport], sender: Sender, now_ms: int) -> list[bytes]:
        ids = [self._ids.next(now_ms) for _ in reports]
        return await run_in_thread_if_long(size, _entries, reports, ids, sender, now_ms)

    async def _append(self, entries: Sequence[bytes]) -> None:
        self._watch.require()
        # The client may go away, but its reports are then in the commit already.
        await asyncio.shield(asyncio.ensure_future(self._journal.append_reports(entries)))


def _entries(reports: Sequence[CanonicalReport], ids: Sequence[bytes], sender: Sender, now_ms: int) -> list[bytes]:
    no, key_hash = sender
    return [
        encode_entry(Report(id_, no, API, key_hash, now_ms, report_digest(no, API, given_id, body), body))
        for (body, given_id), id_ in zip(reports, ids, strict=True)
    ]


def _read_body(body: bytes, now_ms: int, keep_ip: KeepIp) -> list[CanonicalReport]:
    check_json_tokens(body, MAX_TOKENS)
    value = read_json(body)
    if isinstance(value, list):
        return canonical_reports(value, now_ms, keep_ip)
    return [canonical_report(value, now_ms, keep_ip)]


def _read_lines(body: bytes, now_ms: int, keep_ip: KeepIp) -> tuple[list[CanonicalReport], list[LineProblem]]:
    lines = body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise InvalidInput.at("", "must hold at least one line, each a report as JSON")
    if len(numbered) > MAX_REPORTS:
        raise InvalidInput.at("", f"must hold at most {MAX_REPORTS} reports; split it into several requests")
    reports: list[CanonicalReport] = []
    problems: list[LineProblem] = []
    for number, line in numbered:
        try:
            check_json_tokens(line, MAX_TOKENS)
            reports.append(canonical_report(read_json(line), now_ms, keep_ip))
        except InvalidInput as exc:
            problems += [LineProblem(number, *each) for each in exc.problems[:_MAX_PROBLEMS_OF_LINE]]
        except ProblemError as exc:
            problems.append(LineProblem(number, "", str(exc)))
    return reports, problems
