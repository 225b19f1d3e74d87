"""The mail as text for handlers, and the bytes that identify a repeated report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.returned_mail.limits import MAX_MIME_BYTES
from domain.returned_mail.raw import canonical_bytes, mail_text
from domain.returned_mail.report import MailText

TRACE = (
    b"From MAILER-DAEMON Mon Feb  9 12:36:39 2009\n"
    b"Return-Path: <>\n"
    b"Received: from a by b\r\n\twith SMTP;\r\n Mon, 1 Jan 2024\r\n"
    b"DELIVERED-TO: user@example.com\n"
    b"X-Original-To: user@example.com\n"
)
REST = b"Date: Mon, 1 Jan 2024\nReceived: from c by d\n\nFrom here on\nReceived: text\n"


@pytest.mark.parametrize("trace", [b"", TRACE, TRACE * 3, b">From x\n", b"received: x\n"])
def test_trace_fields_at_the_start_are_no_part_of_the_identity(trace: bytes) -> None:
    """Two deliveries of one mail have the same canonical bytes. Later fields of the same names stay."""
    assert bytes(canonical_bytes(trace + REST)) == REST


def test_a_mail_of_trace_fields_has_an_empty_rest() -> None:
    """There may be nothing else, not even a line break at the end."""
    assert bytes(canonical_bytes(b"Received: a\n b")) == b""


@given(st.binary(max_size=200))
def test_the_canonical_bytes_are_the_end_of_the_mail_and_stable(raw: bytes) -> None:
    """Any bytes are accepted, and taking the canonical bytes again changes nothing."""
    rest = bytes(canonical_bytes(raw))
    assert raw.endswith(rest)
    assert canonical_bytes(rest) == rest


def test_valid_utf8_is_utf8_and_everything_else_latin1() -> None:
    """Each byte of Latin-1 is a character, so nothing is lost."""
    assert mail_text("grüße".encode()) == MailText(text="grüße", charset="utf-8", truncated=False)
    assert mail_text("grüße".encode("latin-1")) == MailText(text="grüße", charset="iso-8859-1", truncated=False)


@pytest.mark.parametrize("character", ["ü", "€", "😀"])
def test_the_limit_cuts_between_characters(character: str) -> None:
    """Text that the limit cuts stays UTF-8; a character is not cut in two."""
    for shift in range(4):
        text = "a" * shift + character * MAX_MIME_BYTES
        cut = mail_text(text.encode())
        assert (cut.charset, cut.truncated) == ("utf-8", True)
        assert text.startswith(cut.text)
        assert MAX_MIME_BYTES - 3 <= len(cut.text.encode()) <= MAX_MIME_BYTES


def test_a_broken_character_elsewhere_is_latin1() -> None:
    """Only the limit's own cut is forgiven."""
    assert mail_text(b"\xe2\x82" + b"a" * MAX_MIME_BYTES).charset == "iso-8859-1"
    assert mail_text(b"a\xe2\x82").charset == "iso-8859-1"


@given(st.binary(max_size=50), st.integers(0, 60))
def test_any_bytes_become_text_within_the_limit(raw: bytes, limit: int) -> None:
    """The text encodes to a beginning of the mail."""
    text = mail_text(raw, limit)
    encoded = text.text.encode(text.charset)
    assert raw.startswith(encoded)
    assert len(encoded) <= limit
    assert text.truncated == (len(raw) > limit)
