"""Parts of a mail, compared with the standard parser, and the limits."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.returned_mail.header import split
from domain.returned_mail.limits import MAX_DEPTH, MAX_HEADER_BYTES, MAX_HEADER_FIELDS, MAX_PARTS
from domain.returned_mail.mime import Part, parse
from tests.returned_mail_samples import samples, written_samples


def tree_of(part: Part) -> object:
    return (part.type, [tree_of(child) for child in part.children])


def standard_tree(message: Message) -> object:
    payload = message.get_payload()
    children = [standard_tree(one) for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []
    return (message.get_content_type(), [] if message.get_content_type() == "message/delivery-status" else children)


def test_real_mails_have_the_same_parts_as_for_the_standard_parser() -> None:
    """Types and structure are equal, except for few mails whose structure is damaged."""
    mails = [*samples(), *written_samples()]
    different = [
        sample.name
        for sample in mails
        if tree_of(parse(sample.raw)[0]) != standard_tree(message_from_bytes(sample.raw))
    ]
    assert len(different) <= len(mails) * 0.04, different


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_parts_end_before_the_line_break_of_their_boundary(line_break: bytes) -> None:
    """Preamble, epilogue and boundaries with the same beginning belong to no part."""
    lines = [
        b'Content-Type: multipart/mixed; boundary="x"', b"", b"preamble", b"--x", b"Content-Type: text/a", b"", b"one",
        b"--xy", b"", b"--x", b"", b"", b"two", b"--x--", b"epilogue", b"--x", b"", b"three",
    ]  # fmt: skip
    root, exceeded = parse(line_break.join(lines))

    assert [(part.type, part.body) for part in root.children] == [
        ("text/a", line_break.join([b"one", b"--xy", b""])),
        ("text/plain", line_break + b"two"),
    ]
    assert not exceeded


def test_header_and_body_are_separated_as_programs_expect() -> None:
    """A line that is no field ends the header, folded lines are joined, and mbox lines are ignored."""
    header, raw_header, body, _ = split(b"\nFrom x y\nA: 1\n 2\nb : 3\nA: 4\nno field\n\nrest")

    assert (header.all("a"), header.get("b"), body) == (["1 2", "4"], "3", b"no field\n\nrest")
    assert raw_header.endswith(b"A: 4\n")


@pytest.mark.parametrize(
    ("content_type", "encoding", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", "quoted-printable", b"gr=FC=DFe", "grüße"),
        ("text/plain; charset=utf-8", "BASE64", b"Z3LDvMOf\r\nZQ==", "grüße"),
        ("text/plain; charset=utf-8", "base64", b"Z3LD\nvMOfZQ", "grüße"),
        ("text/plain; charset=no-such", "", "grüße".encode(), "grüße"),
        ("text/plain", "", "grüße".encode("latin-1"), "grüße"),
        ("text/plain; charset=us-ascii", "8bit", "grüße".encode(), "grüße"),
        ("text/plain; charset=unicode-1-1-utf-7", "", b"gr+APwA3w-e", "grüße"),
        ("text/plain; charset=punycode", "", b"text", "text"),
        ("text/plain; charset*=utf-8''iso-8859-1", "", b"\xfc", "ü"),
        ("text/plain; charset=hex", "", b"6161", "6161"),
    ],
)
def test_text_is_decoded_as_declared_or_as_it_looks(content_type: str, encoding: str, body: bytes, text: str) -> None:
    """Unknown, wrong and dangerous character sets count as not declared."""
    mail = f"Content-Type: {content_type}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + body

    assert parse(mail)[0].text(100) == text


def test_beyond_the_limits_the_rest_is_ignored_and_reported() -> None:
    """Parts, levels, bytes and fields of a header."""
    head = b'Content-Type: multipart/mixed; boundary="x"\n\n'
    parts, exceeded = parse(head + b"--x\n\nhi\n" * (MAX_PARTS + 5))
    assert (len(list(parts.walk())), exceeded) == (MAX_PARTS, True)

    assert not parse(head + b"--x\n\nhi\n" * (MAX_PARTS - 1))[1]

    nested, exceeded = parse(b"Content-Type: message/rfc822\n\n" * 100)
    assert (len(list(nested.walk())), exceeded) == (MAX_DEPTH + 1, True)

    for header in (b"A: " + b"x" * MAX_HEADER_BYTES, b"A: b\n" * (MAX_HEADER_FIELDS + 1)):
        root, exceeded = parse(header.rstrip() + b"\n\nbody")
        assert (root.body, exceeded) == (b"body", True)


@pytest.mark.parametrize(
    "declared", [b'"bound-1" Message-Id: <a@b>', b"bound-2", b'"bou"', b'""', b"=?utf-8?q?bound-1?="], ids=repr
)
def test_a_wrongly_declared_boundary_is_found_in_the_body(declared: bytes) -> None:
    """Gateways damage the declaration; the first line that looks like a boundary and is repeated is one."""
    mail = (
        b"Content-Type: multipart/mixed; boundary=%s\n\n--signature\n--bound-1\n\none\n--bound-1\n\ntwo\n--bound-1--\n"
    )

    assert [part.body for part in parse(mail % declared)[0].children] == [b"one", b"two"]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    """Header and body are parts of the mail."""
    root, _ = parse(raw)
    assert root.body in raw
    assert root.raw_header in raw
    for part in root.walk():
        part.text(100)


LINES = [
    b"--x\n", b"--x--\n", b"--y\n", b"--x \n", b"--x\r\n", b"\n", b"\r\n", b"text\n", b"A: b\n", b" folded\n",
    b'Content-Type: multipart/mixed; boundary="y"\n', b"Content-Type: message/rfc822\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=40))
def test_any_structure_gives_parts_within_the_limits(lines: list[bytes]) -> None:
    """Boundaries in any order lose no more than what stands outside of parts."""
    root, _ = parse(b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"".join(lines))
    assert len(list(root.walk())) <= MAX_PARTS
    for part in root.walk():
        assert all(child.body in part.body for child in part.children)
