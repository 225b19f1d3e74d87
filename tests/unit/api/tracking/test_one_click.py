"""`api.tracking.one_click`: RFC 8058's form in all the ways in which senders write it."""

from __future__ import annotations

from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tracking.one_click import asks_to_unsubscribe

MULTIPART = b"multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"This is a preamble.\r\n" + PART, MULTIPART),
        (b"\r\n" + PART, MULTIPART),
        (b"A preamble of\r\nseveral lines\r\n" + PART, b""),
        (PART + b"An epilogue.\r\n--b\r\nmore", MULTIPART),
        (PART.replace(b"; name", b";\r\n name"), MULTIPART),
        (PART.replace(b"; name", b"\r\n\t; name"), MULTIPART),
        (PART.replace(b"Disposition:", b"Disposition :"), MULTIPART),
        (PART.replace(b"Content", b"X-Other \t:\r\nContent").replace(b"tion:", b"tion \t:"), b""),
        (PART.replace(b"--b", b"--b :b"), b'multipart/form-data; boundary="b :b"'),
        (PART.replace(b"form-data;", b"form-data;\r\n\r\n x=1;").replace(b"\r\n\r\n x", b"\r\n x"), b""),
        (PART.replace(b"--b", b"--a b:c/d=?"), b'multipart/form-data; boundary="a b:c/d=?"'),
        (PART.replace(b"--b", b"--a'(b)+_,-./"), b'multipart/form-data; boundary="a\'(b)+_,-./"; charset=utf-8'),
        (PART.replace(b"--b", b'--a"b'), b""),
        (PART, b'MultiPart/Form-Data; charset=iso-8859-1; BOUNDARY="b"'),
        (PART.replace(b"--b", b"-----x"), b"multipart/form-data; boundary=---x"),
        (PART.replace(b"--b\r\n", b"--b \t\r\n"), MULTIPART),
        (PART.replace(b"\r\n", b"\n"), MULTIPART),
        (PART.replace(b"form-data; name", b"Form-Data; NAME"), MULTIPART),
        (PART.replace(b'"List-Unsubscribe"', b"List-Unsubscribe"), MULTIPART),
        (PART.replace(b"name=", b"name*=UTF-8''").replace(b'"', b""), MULTIPART),
        (PART.replace(b"List-Unsubscribe", b"list-unsubscribe").replace(b"One-Click", b"one-click"), MULTIPART),
        (PART.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"), MULTIPART),
        (
            PART.replace(b"\r\n\r\nOne-Click", b"\r\nContent-Type: text/plain; charset=UTF-16LE\r\n\r\n%b")
            % "One-Click".encode("utf-16le"),
            MULTIPART,
        ),
        (PART.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"), MULTIPART),
        (
            PART.replace(b"\r\n\r\nOne-Click", b"\r\nContent-Transfer-Encoding: Base64\r\n\r\nT25lLUNsaWNr"),
            MULTIPART,
        ),
        (PART.replace(b"\r\n--b--\r\n", b"\r\n--b--"), MULTIPART),
        (PART.replace(b"One-Click\r\n", b"One-Click \r\n"), MULTIPART),
        (PART, b"application/x-www-form-urlencoded"),
        (PART, b"multipart/form-data"),
        (PART, b"multipart/form-data; boundary=other"),
        (b"List-Unsubscribe=One-Click", MULTIPART),
        (b"\r\nList-Unsubscribe=One-Click\r\n", b"application/x-www-form-urlencoded; charset=UTF-8"),
        (b"list-unsubscribe=ONE-CLICK", b"APPLICATION/X-WWW-FORM-URLENCODED"),
        (b"List%2dUnsubscribe=%4fne-Click&", b""),
    ],
)
def test_the_form_counts_however_it_is_written(body: bytes, content_type: bytes) -> None:
    """Preamble, epilogue, folded headers, quoted boundaries, other charsets and mislabelled bodies."""
    assert asks_to_unsubscribe(body, content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"List-Unsubscribe=One-Click\r\n" + PART.replace(b"One-Click", b"No"),
        PART.replace(b"One-Click", b"No") + b"List-Unsubscribe=One-Click",
        PART.replace(b"form-data", b"attachment"),
        PART.replace(b'"List-Unsubscribe"', b'"List-Unsubscribe-Not"'),
        PART.replace(b'"List-Unsubscribe"', b'"x"; filename="List-Unsubscribe"'),
        PART.replace(b"One-Click", b"One-Click\r\nNo"),
        PART.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=unknown\r\n\r\n"),
        PART.replace(b"Content-Disposition", b"X-Content-Disposition"),
        PART.replace(b"--b\r\n", b"--b\r\n\r\n"),
        b"",
        b"--b--",
    ],
)
def test_another_form_does_not_count(body: bytes) -> None:
    """Name and value must be in the same field, and nothing else of the body matters."""
    assert not asks_to_unsubscribe(body, MULTIPART)


@given(st.lists(st.tuples(st.text("abc-X", min_size=1), st.text("abc-X\r\n")), max_size=4), st.integers(0, 4))
def test_forms_of_real_encoders_are_read(others: list[tuple[str, str]], at: int) -> None:
    """httpx's forms and those of Python's e-mail package, with other fields around ours."""
    fields = [*others[:at], ("List-Unsubscribe", "One-Click"), *others[at:]]
    multipart = httpx.Request("POST", "http://x", files=[(name, (None, value)) for name, value in fields])
    assert asks_to_unsubscribe(multipart.read(), multipart.headers["content-type"].encode())
    message = MIMEMultipart("form-data")
    message.preamble, message.epilogue = "A preamble.", "An epilogue."
    for name, value in fields:
        part = MIMEText(value)
        part.add_header("Content-Disposition", "form-data", name=name, comment="x" * 80)
        message.attach(part)
    head, _, body = message.as_bytes().partition(b"\n\n")
    content_type = head.partition(b"Content-Type: ")[2].partition(b"\nMIME")[0].replace(b"\n", b"")
    assert asks_to_unsubscribe(body, content_type)
    assert asks_to_unsubscribe(body)
    without = httpx.Request("POST", "http://x", files=[(name, (None, value)) for name, value in [*others, ("x", "y")]])
    assert not asks_to_unsubscribe(without.read(), without.headers["content-type"].encode())


@given(
    st.lists(
        st.sampled_from(
            [b"--b", b"\r\n", b"\n", b"; ", b"name=", b'"', b"Content-Type: multipart/x; boundary=c", b"--"]
        )
        | st.binary(max_size=9)
    ).map(b"".join),
    st.sampled_from(
        [b"", MULTIPART, b'multipart/form-data; boundary="', b"multipart/mixed; boundary*0=b; boundary*1=c"]
    ),
)
def test_any_body_has_an_answer(body: bytes, content_type: bytes) -> None:
    """No body makes the search fail."""
    assert asks_to_unsubscribe(body, content_type) in {True, False}


def test_nested_parts_are_bounded_by_the_size_of_the_body() -> None:
    """4 KiB of parts within parts are read without an error."""
    body = b"".join(b"--%d\r\nContent-Type: multipart/a; boundary=%d\r\n\r\n" % (n, n + 1) for n in range(90))
    assert not asks_to_unsubscribe(body, b"multipart/form-data; boundary=0")
