"""The parser's answers about published collections of real mails."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable

import pytest

from domain.returned_mail.mime import Part, parse
from domain.returned_mail.reader import read
from tests.returned_mail_samples import Sample, answer, samples, written_samples

#: The least share of right answers, in percent.
GOALS = {"kind": 97, "recipients": 95, "code": 90, "status": 90, "category": 90}


@pytest.mark.parametrize("question", GOALS)
def test_the_share_of_right_answers_reaches_its_goal(question: str) -> None:
    """Kind, recipients, code, status and category agree with what people read in the mails."""
    answers = [getattr(answer(sample), question) for sample in samples()]
    known = [one for one in answers if one is not None]

    assert len(known) > 60
    assert 100 * sum(known) / len(known) >= GOALS[question]


@pytest.mark.parametrize("sample", written_samples(), ids=lambda sample: sample.name)
def test_forms_of_further_mail_systems_are_read(sample: Sample) -> None:
    """No answer about a mail in the form of a widespread mail system is wrong."""
    assert False not in answer(sample)


def small_samples() -> list[Sample]:
    return [sample for sample in (*samples(), *written_samples()) if len(sample.raw) < 60_000]


def test_line_breaks_make_no_difference() -> None:
    """A pipe brings mail with LF, SMTP with CRLF, a careless gateway CRCRLF, and a file from an old Mac has CR."""
    for sample in small_samples():
        lines = sample.raw.replace(b"\r\n", b"\n")
        if b"\r" not in lines:
            expected = read(lines)
            assert read(lines.replace(b"\n", b"\r\n")) == expected, sample.name
            assert read(lines.replace(b"\n", b"\r\r\n")) == expected, sample.name
            assert read(lines.replace(b"\n", b"\r")) == expected, sample.name


@pytest.mark.parametrize(
    ("encoding", "encode"), [("base64", base64.encodebytes), ("quoted-printable", quopri.encodestring)]
)
def test_transfer_encodings_make_no_difference(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """Gateways encode notifications that came as plain text."""
    count = 0
    for sample in small_samples():
        root, _ = parse(sample.raw)
        if root.type == "text/plain" and root.body and root.header.get("from") and not encoded(root):
            header = f"Content-Transfer-Encoding: {encoding}\n".encode() + root.raw_header.lstrip(b"\n")
            found = read(header + b"\n" + encode(root.body))
            assert (found.kind, found.recipients) == (read(sample.raw).kind, read(sample.raw).recipients), sample.name
            count += 1
    assert count > 100


def encoded(part: Part) -> bool:
    return "content-transfer-encoding" in part.header


def test_a_report_in_another_message_is_the_same_report() -> None:
    """Virus scanners and forwarding rules put a message around it."""
    for sample in small_samples():
        if sample.kind == "failed":
            wrapped = (
                b'From: a@b\nSubject: Fwd\nContent-Type: multipart/mixed; boundary="wrap"\n\n--wrap\n\nscanned\n'
                b"--wrap\nContent-Type: message/rfc822\n\n" + sample.raw + b"\n--wrap--\n"
            )
            found, expected = read(wrapped), read(sample.raw)
            assert found.kind == expected.kind, sample.name
            assert [one.address for one in found.recipients] == [one.address for one in expected.recipients], (
                sample.name
            )
