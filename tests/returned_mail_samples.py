"""Real returned mails with hand-made truth, and the comparison of the parser's answers with it."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from domain.returned_mail.reader import read
from domain.returned_mail.report import ReturnedMail
from tests.paths import ROOT

FIXTURES: Final = ROOT / "tests/fixtures/returned_mail"
SDISTS: Final = ("flufl.bounce", "bounced", "mail-parser", "baunsu")


class Sample(NamedTuple):
    """A mail, and what a person read in it. `-` means that the mail does not show it, `|` separates equal answers."""

    sdist: str
    name: str
    raw: bytes
    kind: str
    recipients: str
    code: str
    status: str
    category: str


class Answer(NamedTuple):
    """Whether the parser's answers agree with the truth; None if there is nothing to compare."""

    kind: bool
    recipients: bool
    code: bool | None
    status: bool | None
    category: bool | None


@cache
def samples() -> tuple[Sample, ...]:
    """All real mails, in the order of the data file."""
    mails = {(sdist, name): raw for sdist in SDISTS for name, raw in _files(sdist)}
    found = _with_truth("truth.tsv", mails)
    assert len(found) == len(mails)
    return found


@cache
def written_samples() -> tuple[Sample, ...]:
    """Mails that were written for the tests, in the forms of further mail systems."""
    mails = {("", path.name): path.read_bytes() for path in (FIXTURES / "written").iterdir()}
    found = _with_truth("written.tsv", mails)
    assert len(found) == len(mails)
    return found


def _with_truth(table: str, mails: dict[tuple[str, str], bytes]) -> tuple[Sample, ...]:
    with (FIXTURES / table).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    keys = [(row.get("sdist", ""), row["mail"]) for row in rows]
    return tuple(
        Sample(*key, mails[key], row["kind"], row["recipients"], row["code"], row["status"], row["category"])
        for key, row in zip(keys, rows, strict=True)
    )


def compare(sample: Sample, report: ReturnedMail) -> Answer:
    """The comparison of a report with the truth about its mail."""
    first = report.recipients[0] if report.recipients else None
    codes = [str(recipient.code or "-") for recipient in report.recipients]
    return Answer(
        kind=report.kind == sample.kind,
        recipients=_same_recipients(sample.recipients, report),
        code=None if sample.code == "-" else any(code in sample.code.split("|") for code in codes),
        status=None if sample.status == "-" else first is not None and first.extended in sample.status.split("|"),
        category=None if sample.category == "-" else report.category in sample.category.split("|"),
    )


def answer(sample: Sample) -> Answer:
    """The comparison of the parser's report with the truth."""
    return compare(sample, read(sample.raw))


def _same_recipients(expected: str, report: ReturnedMail) -> bool:
    """Whether a report has the right addresses for each recipient, and no others."""
    found = [
        {address.casefold() for address in (recipient.address, recipient.final_address) if address}
        for recipient in report.recipients
        if recipient.address
    ]
    wanted = [] if expected == "-" else [set(one.casefold().split("|")) for one in expected.split(",")]
    return all(any(one & other for other in found) for one in wanted) and all(
        any(one & other for other in wanted) for one in found
    )


def _files(sdist: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(FIXTURES / f"{sdist}.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and member.name not in ("LICENSE", "NOTICE"):
                yield member.name, content.read()
