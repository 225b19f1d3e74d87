"""Cost of reading a mail: milliseconds for real ones, and no more than linear in the size of hostile ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from domain.returned_mail.reader import read
from tests.returned_mail_samples import samples

HEAD = b"From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n"
HTML = b"From: MAILER-DAEMON@mx.example.org\nContent-Type: text/html\n\n"
MIXED = b'Content-Type: multipart/mixed; boundary="x"\n\n'
SIZE = 10 << 20

#: Mails by name. They are made when they are read, because together they are larger than all other tests.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a line": lambda: HEAD + b"a" * SIZE,
    "at signs": lambda: HEAD + b"@" * SIZE,
    "addresses": lambda: HEAD + b"a@b.c " * (SIZE // 6),
    "codes": lambda: HEAD + b"550 " * (SIZE // 4),
    "statuses": lambda: HEAD + b"5.1.1 " * (SIZE // 6),
    "spaces": lambda: HEAD + b"x" + b" " * SIZE + b"x",
    "tabs": lambda: HTML + b"\t" * SIZE,
    "line breaks": lambda: HEAD + b"\n" * SIZE,
    "dashes": lambda: HEAD + b"-" * SIZE,
    "fields": lambda: HEAD + b"A: b\n" * (SIZE // 5),
    "a field": lambda: b"Subject: " + b"x" * SIZE,
    "folded lines": lambda: b"Subject: x\n" + b" x\n" * (SIZE // 3),
    "headers": lambda: b"A: b\n" * (SIZE // 5),
    "levels": lambda: b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n' * (SIZE // 50),
    "enclosed messages": lambda: b"Content-Type: message/rfc822\n\n" * (SIZE // 30),
    "parts": lambda: MIXED + b"--x\n\n\n" * (SIZE // 6),
    "tags": lambda: HTML + b"<a " * (SIZE // 3),
    "at signs in a tag": lambda: HTML + b"<a" + b"@" * SIZE,
    "comments": lambda: HTML + b"<!--" * (SIZE // 4),
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * (SIZE // 14) + b"\n\nx",
    "quoted-printable": lambda: b"From: a@b\nContent-Transfer-Encoding: quoted-printable\n\n" + b"=41" * (SIZE // 3),
    "punycode": lambda: b"From: a@b\nContent-Type: text/plain; charset=punycode\n\n" + b"a" * SIZE,
    "parameters": lambda: b"Content-Type: a/b;" + b'"\\";' * (SIZE // 4),
    "recipients": lambda: HEAD + b"".join(b"<u%d@example.com>:\nunknown\n\n" % number for number in range(10_000)),
    "recipients in a line": lambda: HEAD + b"".join(b"u%d@example.com 550 5.1.1 " % number for number in range(10_000)),
}

DSN = (
    b'From: a@b\nContent-Type: multipart/report; report-type=delivery-status; boundary="x"\n\n--x\n\ntext\n'
    b"--x\nContent-Type: message/delivery-status\n\n"
)
GROUP = b"Final-Recipient: rfc822; u%d@example.com\nAction: failed\nDiagnostic-Code: x" + b" " * 8000 + b"x\n\n"
HOSTILE |= {
    "spaces in diagnostics": lambda: DSN + b"".join(GROUP % number for number in range(200)),
    "recipients that share a text": lambda: (
        DSN.replace(b"text", b"550 5.1.1 a@b.example no such user\n" * 3000)
        + b"Final-Recipient: rfc822; a@b.example\nAction: failed\n\n" * 200
    ),
    "message ids": lambda: b"From: a@b\nMessage-ID: " + (b"<" + b"a" * 1200) * 200 + b"\n\nx",
    "references": lambda: b"From: a@b\nReferences: " + b"<a@b.c> " * 30_000 + b"\n\nx",
    "names": lambda: b"From: " + b"a" * 200_000 + b"\nReply-To: " + b"-" * 200_000 + b"\n\nx",
}


@pytest.mark.alone
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_takes_less_than_a_second(name: str) -> None:
    """10 MiB of one thing. The parser's process allows two seconds of CPU time."""
    mail = HOSTILE[name]()
    start = time.process_time()
    read(mail)
    assert time.process_time() - start < 1


@pytest.mark.alone
def test_a_real_dsn_takes_less_than_two_milliseconds() -> None:
    """The mean of all DSNs in the collections, which have 5 kB on average."""
    mails = [sample.raw for sample in samples() if sample.kind in ("failed", "delayed") and len(sample.raw) < 30_000]
    best = min(_cost(mails) for _ in range(5))
    assert best / len(mails) < 0.002


def _cost(mails: list[bytes]) -> float:
    start = time.process_time()
    for mail in mails:
        read(mail)
    return time.process_time() - start
