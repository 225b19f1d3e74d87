"""Keys that match a returned mail to a message."""

from __future__ import annotations

import base64
import quopri

import pytest

from domain.returned_mail.reader import read

TOKEN = "abcdefghijklmnopqrstuvwxyz234567"
OPEN = "EAEBAAAAAAAAAAAAAAAAAAAA"
CLICK = "EAEBaHR0cDovL2V4YW1wbGUuY29tLw_-x" * 4


def bounce(header: str = "", status: str = "", returned: str = "") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.org\n{header}"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\n\n'
        "--x\n\ntext\n--x\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx\n{status}\nFinal-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n"
        f"--x\nContent-Type: message/rfc822\n\n{returned}\n--x--\n"
    ).encode()


@pytest.mark.parametrize(
    "header",
    [
        f"To: b-{TOKEN}@returns.example.com\n",
        f"To: <B-{TOKEN.upper()}@Returns.example.com>\n",
        f"Delivered-To: prvs=1234567890=b-{TOKEN}@returns.example.com\n",
        f"X-Original-To: SRS0=HHH=TT=returns.example.com=b-{TOKEN}@forwarder.example\n",
        f"Received: from mx by us for <b-{TOKEN}@returns.example.com>; Mon, 1 Jan 2024\n",
        f"Envelope-To: b-{TOKEN}@returns.example.com\n",
    ],
)
def test_the_token_of_the_return_path_is_found_wherever_transport_records_it(header: str) -> None:
    """In any case, and with what BATV or SRS put before it."""
    assert read(bounce(header)).keys.return_path_tokens == (TOKEN,)


def test_the_token_of_the_envelope_comes_first() -> None:
    """The address that the transport showed is more reliable than the mail."""
    other = TOKEN[::-1]
    report = read(bounce(f"To: b-{other}@example.com\n"), f"prvs=1=b-{TOKEN}@returns.example.com")
    assert report.keys.return_path_tokens == (TOKEN, other)
    assert report.envelope == f"prvs=1=b-{TOKEN}@returns.example.com"


def test_the_token_of_the_returned_message_counts_too() -> None:
    """A forwarder may have changed the address of the bounce."""
    returned = f"Return-Path: <b-{TOKEN}@returns.example.com>\nSubject: x\n\nbody"
    assert read(bounce(returned=returned)).keys.return_path_tokens == (TOKEN,)


@pytest.mark.parametrize("text", [f"xb-{TOKEN}@a.example", f"b-{TOKEN}2@a.example", f"b-{TOKEN[:-1]}@a.example"])
def test_other_local_parts_are_no_tokens(text: str) -> None:
    """Exactly 32 characters of base32 after `b-`."""
    assert read(bounce(f"To: {text}\n")).keys.return_path_tokens == ()


def test_the_envelope_id_of_a_dsn_is_found() -> None:
    """`Original-Envelope-Id` of the fields about the mail."""
    assert read(bounce(status="Original-Envelope-Id: env-42\n")).keys.envelope_id == "env-42"


def html(link: str) -> str:
    return f'<a href="https://t.example.com/c/{CLICK}">x</a><img src="https://t.example.com/o/{OPEN}">{link}'


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("7bit", html("")),
        ("quoted-printable", quopri.encodestring(html("").encode()).decode()),
        ("base64", base64.encodebytes(html("").encode()).decode()),
    ],
)
def test_tracking_tokens_of_the_returned_message_are_found_in_each_encoding(encoding: str, encoded: str) -> None:
    """Soft line breaks cut links, and base64 hides them."""
    returned = f"Subject: x\nContent-Type: text/html\nContent-Transfer-Encoding: {encoding}\n\n{encoded}"
    assert read(bounce(returned=returned)).keys.tracking_tokens == (("click", CLICK), ("open", OPEN))


def test_a_folded_header_of_the_returned_message_has_the_token_of_its_link() -> None:
    """`List-Unsubscribe` is often all that comes back."""
    returned = f"Subject: x\nList-Unsubscribe:\n <https://t.example.com/u/{OPEN[:10]}\n {OPEN[10:]}>\n\n"
    assert read(bounce(returned=returned)).keys.tracking_tokens == (("unsubscribe", OPEN),)


def test_a_quoted_original_has_tokens() -> None:
    """Old-style bounces return the message as text."""
    mail = (
        "From: MAILER-DAEMON@mx.example.org\n\n<a@example.com>:\nno such user\n\n--- Below this line is a copy.\n\n"
        f"Received: from x\nMessage-ID: <m@x>\n\nhttps://t.example.com/c/{CLICK[:40]}=\n{CLICK[40:]}\n"
    )
    assert read(mail.encode()).keys.tracking_tokens == (("click", CLICK),)


def test_without_a_returned_message_the_whole_mail_is_searched() -> None:
    """An automatic reply may quote the message in any form."""
    mail = f"From: a@example.com\nAuto-Submitted: auto-replied\n\n> https://t.example.com/u/{OPEN}\n"
    assert read(mail.encode()).keys.tracking_tokens == (("unsubscribe", OPEN),)


def test_the_original_of_a_reply_is_its_last_reference() -> None:
    """`In-Reply-To`, then the references from the last to the first. The reply's own id is no key."""
    mail = b"From: a@example.com\nMessage-ID: <own@x>\nIn-Reply-To: <m2@x>\nReferences: <m1@x>\n <m2@x> <own@x>\n\nhi\n"
    assert read(mail).keys.message_ids == ("m2@x", "m1@x")


def test_the_id_of_the_returned_message_comes_first() -> None:
    """Then those of the reply's fields."""
    returned = "Message-ID: <m1@x>\nReferences: <older@x>\nCFBL-Feedback-ID: 111:222; t=x\n\nbody"
    keys = read(bounce("In-Reply-To: <m2@x>\n", returned=returned)).keys
    assert (keys.message_ids, keys.feedback_ids) == (("m1@x", "m2@x"), ("111:222",))


def test_keys_are_limited_and_without_repeats() -> None:
    """A mail full of tokens gives 50."""
    links = "".join(f"https://t.example.com/o/{number:024d}\n" * 2 for number in range(1000))
    keys = read(bounce(returned=f"Subject: x\n\n{links}")).keys
    assert len(keys.tracking_tokens) == len(set(keys.tracking_tokens)) == 50
