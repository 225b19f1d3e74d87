"""Damaged and hostile variants of real mails, the same for the same seed."""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.returned_mail_samples import samples, written_samples

#: Larger mails only make the tests slow.
MAX_BYTES: Final = 100_000


class Mutant(NamedTuple):
    """A mail, and how it was made."""

    mutation: str
    raw: bytes


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """`count` mails, each a real one after one to three mutations."""
    randomness = random.Random(seed)
    mails = [sample.raw for sample in (*samples(), *written_samples()) if len(sample.raw) <= MAX_BYTES]
    for _ in range(count):
        raw = randomness.choice(mails)
        names = [randomness.choice(list(MUTATIONS)) for _ in range(randomness.choice((1, 1, 1, 2, 3)))]
        for name in names:
            raw = MUTATIONS[name](raw, randomness)
        yield Mutant("+".join(names), raw)


def _flip(raw: bytes, randomness: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(randomness.choice((1, 10, 100))):
        if data:
            data[randomness.randrange(len(data))] ^= 1 << randomness.randrange(8)
    return bytes(data)


def _truncate(raw: bytes, randomness: random.Random) -> bytes:
    return raw[: randomness.randrange(len(raw) + 1)]


def _behead(raw: bytes, randomness: random.Random) -> bytes:
    return raw[randomness.randrange(len(raw) + 1) :]


def _drop_lines(raw: bytes, randomness: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join(line for line in lines if randomness.random() > 0.1)


def _shuffle_lines(raw: bytes, randomness: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    start = randomness.randrange(len(lines) + 1)
    block = lines[start : start + 20]
    randomness.shuffle(block)
    return b"".join([*lines[:start], *block, *lines[start + 20 :]])


def _repeat(raw: bytes, randomness: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True) or [b"\n"]
    start = randomness.randrange(len(lines))
    block = lines[start : start + randomness.randrange(1, 8)]
    return b"".join([*lines[:start], *block * randomness.choice((2, 50, 2000)), *lines[start:]])[:MAX_BYTES]


def _splice(raw: bytes, randomness: random.Random) -> bytes:
    other = randomness.choice(samples()).raw[:MAX_BYTES]
    return raw[: randomness.randrange(len(raw) + 1)] + other[randomness.randrange(len(other) + 1) :]


def _eight_bit(raw: bytes, randomness: random.Random) -> bytes:
    at = randomness.randrange(len(raw) + 1)
    return raw[:at] + randomness.randbytes(randomness.choice((1, 30, 3000))) + raw[at:]


def _nest(raw: bytes, randomness: random.Random) -> bytes:
    for number in range(randomness.choice((1, 5, 30, 300))):
        if randomness.random() < 0.5:
            raw = b"Content-Type: message/rfc822\n\n" + raw
        else:
            boundary = b"n%d" % number
            raw = b'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n%s\n--%s--\n' % (
                boundary,
                boundary,
                raw,
                boundary,
            )
    return raw


def _many_recipients(raw: bytes, randomness: random.Random) -> bytes:
    form = randomness.choice(
        (
            b"Final-Recipient: rfc822; u%d@example.com\nAction: failed\nStatus: 5.1.1\n\n",
            b"<u%d@example.com>:\n550 5.1.1 unknown\n\n",
            b"u%d@example.com ",
        )
    )
    block = b"".join(form % number for number in range(randomness.choice((10, 10, 10, 300, 300, 10_000))))
    at = raw.find(b"\n\n", randomness.randrange(len(raw) + 1)) + 2
    return raw[:at] + block + raw[at:]


def _long_line(raw: bytes, randomness: random.Random) -> bytes:
    at = randomness.randrange(len(raw) + 1)
    piece = b"".join(randomness.choices(PIECES, k=randomness.choice((1, 1, 2))))
    return raw[:at] + piece * (60_000 // len(piece)) + raw[at:]


#: Beginnings and repeated parts of everything that the parser looks for.
PIECES: Final = (
    b"a", b"<", b"@", b"-", b" ", b"\t", b"550 ", b"5.1.1 ", b"a@b.c ", b": ", b"=?utf-8?q?a?= ", b'";', b"\n", b"=\n",
    b"a.", b"a-", b"<a ", b"<!--", b"<script>", b"&#38;", b"--x\n", b"-----\n", b"----- x -----\n", b"> ", b"521-1 ",
    b"To: a@b.c\n", b"Received: x\n", b"Final-Recipient: rfc822; a@b.c\n", b"Action: failed\n\n", b"Feedback-Type: x\n",
    b"rcpt to:<a@b.c> ", b"<<< 550 a@b.c\n", b"generated from a@b.c ", b"SMTP=a@b.c;", b"user unknown ", b"mailbox ",
    b"http://a.b/1 ", b"mailto:", b"confirm 1a2b3c4d ", b"/c/AAAAAAAAAAAAAAAAAAAA", b"<a@b>", b"SRS0=a=b=c.d=e@f.g ",
)  # fmt: skip


def _many_fields(raw: bytes, randomness: random.Random) -> bytes:
    field = randomness.choice(FIELDS) + b": " + randomness.choice((b"a@b.c", b"<1@a>", b"=?utf-8?q?a?=")) + b"\n"
    return field * randomness.choice((100, 100, 3_000)) + raw


def _many_parts(raw: bytes, randomness: random.Random) -> bytes:
    type_ = randomness.choice((b"text/plain", b"message/rfc822", b"message/delivery-status", b"text/rfc822-headers"))
    part = b"--p\nContent-Type: " + type_ + b"\n\nTo: a@b.c\n"
    return (
        b'Content-Type: multipart/mixed; boundary="p"\n\n'
        + part * randomness.choice((10, 10, 10, 1_000))
        + b"--p\n"
        + raw
    )


def _encode(raw: bytes, randomness: random.Random) -> bytes:
    header, _, body = raw.partition(b"\n\n")
    name, encode = randomness.choice(((b"base64", base64.encodebytes), (b"quoted-printable", quopri.encodestring)))
    return b"Content-Transfer-Encoding: " + name + b"\n" + header + b"\n\n" + encode(body)


def _line_breaks(raw: bytes, randomness: random.Random) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", randomness.choice((b"\r", b"\r\n", b"\n\n", b"\n ")))


FIELDS: Final = (
    b"Content-Type", b"From", b"To", b"Subject", b"Auto-Submitted", b"Content-Transfer-Encoding", b"References",
)  # fmt: skip
VALUES: Final = (
    b"", b";", b"multipart/mixed", b'multipart/report; boundary=""', b"text/plain; charset=punycode", b"<>", b"base64",
    b"=?x?q?a?=", b"message/delivery-status", b"message/feedback-report", b"a" * 5000, b"\xff\xfe",
    b"multipart/mixed; boundary*0=a",
)  # fmt: skip


def _header(raw: bytes, randomness: random.Random) -> bytes:
    return randomness.choice(FIELDS) + b": " + randomness.choice(VALUES) + b"\n" + raw


MUTATIONS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "flip": _flip,
    "truncate": _truncate,
    "behead": _behead,
    "drop lines": _drop_lines,
    "shuffle lines": _shuffle_lines,
    "repeat": _repeat,
    "splice": _splice,
    "8-bit": _eight_bit,
    "nest": _nest,
    "many recipients": _many_recipients,
    "long line": _long_line,
    "header": _header,
    "many fields": _many_fields,
    "many parts": _many_parts,
    "encode": _encode,
    "line breaks": _line_breaks,
}
