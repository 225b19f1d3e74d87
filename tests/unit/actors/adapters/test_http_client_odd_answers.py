"""The HTTP client with responses whose headers break the rules, and with bytes that are not a response."""

from __future__ import annotations

import asyncio

import pytest

from actors.delivery.response_text import body_excerpt, header_lines
from actors.ports import HttpResponse
from tests.raw_handler import OK, RawHandler, answering, read_request
from tests.unit.actors.adapters.test_http_client import Run, outcome, run

__all__ = ["run"]
LENGTH_2 = b"Content-Length: 2\r\n\r\nok"
OTHER = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"


def test_non_ascii_text_in_a_header_is_legal(run: Run) -> None:
    """RFC 9110 5.5 allows bytes from 0x80 on in a value, so the connection is kept."""
    got, handler = outcome(answering(b"HTTP/1.1 200 OK\r\nX: caf\xc3\xa9 \xff\r\n" + LENGTH_2), run, posts=2)

    assert (got.status, got.body_start) == (200, b"ok")
    assert header_lines(got.head_start) == "X: café �\nContent-Length: 2"
    assert handler.connections == 1


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"X: a\x1b[31mb \xc3\xa9", "X: a�[31mb é"),
        (b"X: a\0b", "X: a�b"),
        (b"X: a\x7f", "X: a�"),
        (b"X: a\r\n folded", "X: a folded"),
        (b"X: a\rb", "X: a�b"),
        (b"X : space before the colon", "X : space before the colon"),
        (b"no colon", "no colon"),
        (b": no name", ": no name"),
        (b"X: a\nY: b", "X: a\nY: b"),
    ],
)
def test_a_header_with_control_characters_costs_nothing(header: bytes, shown: str, run: Run) -> None:
    """The response counts, control characters are replaced for display, and the next POST uses the same connection."""
    got, handler = outcome(answering(b"HTTP/1.1 201 OK\r\n" + header + b"\r\n" + LENGTH_2), run, posts=2)

    assert (got.status, got.error, got.body_start, got.response_bytes) == (201, None, b"ok", 2)
    assert header_lines(got.head_start) == f"{shown}\nContent-Length: 2"
    assert handler.connections == 1


def test_an_odd_response_may_arrive_in_pieces(run: Run) -> None:
    """Interim responses are skipped, the body may arrive after the headers, and `Retry-After` is read."""
    pieces = [
        b"HTTP/1.1 103 Early Hints\r\nLink: \x1b\r\n\r\nHTTP/1.1 503 No",
        b"\r\nX: \x1b\r",
        b"\nRetry-After: 9\r\n",
    ]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        handler.requests.append(await read_request(reader))
        for piece in [*pieces, LENGTH_2[:-2], b"o", b"k" + OTHER]:
            writer.write(piece)
            await asyncio.sleep(0.01)
        await reader.read()

    got, handler = outcome(script, run, posts=2)

    assert (got.status, got.retry_after, got.body_start) == (503, "9", b"ok")
    assert got.head_start == b"X: \x1b\nRetry-After: 9\nContent-Length: 2"
    assert handler.connections == 2


@pytest.mark.parametrize(
    "headers",
    [
        b"bad header\r\n\r\n",
        b"Content-Length : 2\r\n\r\nok",
        b"Content-Length 2\r\n\r\nok",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"Content-Length: 2\r\nContent-Length: 45\r\n\r\nok",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Content-Length: \x1b2\r\n\r\nok",
        b"Transfer-Encoding: chunked\x1b\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("rest", [b"", OTHER], ids=["alone", "another answer behind it"])
def test_the_status_line_decides_if_the_headers_are_unclear(
    headers: bytes, rest: bytes, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the status counts, soon; the bytes that follow are never the response to the next POST."""
    monkeypatch.setattr("actors.adapters.http_connection.DOUBT_S", 0.05)
    script = answering(b"HTTP/1.1 202 Accepted\r\n" + headers + rest, OK)
    got, handler = outcome(script, run)
    assert (got.status, got.error, got.retry_after) == (202, None, None)
    assert got.duration_s < 2

    again, handler = outcome(answering(b"HTTP/1.1 202 Accepted\r\n" + headers + rest, OK), run, posts=2)
    assert (again.status, again.body_start, handler.connections) == (200, b"ok", 2)


@pytest.mark.parametrize(
    "odd",
    [
        b"bad header",
        b"X: a\0\x1b",
        b" folded first",
        b"Content-Length: abc",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: -1",
        b"Transfer-Encoding: \xff",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"X: a\r\n b",
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("is_first", [True, False])
def test_retry_after_survives_odd_headers(odd: bytes, end: bytes, is_first: bool, run: Run) -> None:
    """`Retry-After` is obeyed whatever stands before or after it."""
    lines = [b"Retry-After: 3600", odd] if is_first else [odd, b"retry-after:\t3600 "]
    head = end.join([b"HTTP/1.1 429 Too Many", *lines, b"", b""])
    got, _ = outcome(answering(head + b"ok", close=True), run)

    assert (got.status, got.error, got.retry_after) == (429, None, "3600")


@pytest.mark.parametrize("name", [b"Retry-After:\r\n 3600", b"Retry-After : 3600"])
def test_an_odd_retry_after_is_read(name: bytes, run: Run) -> None:
    """A folded value, and a space before the colon, do not hide it."""
    got, _ = outcome(answering(b"HTTP/1.1 503 X\r\n" + name + b"\r\nContent-Length: 0\r\n\r\n"), run)

    assert got.retry_after == "3600"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200\nX: y\r\nContent-Length: 2\n\r\nok",
        b"HTTP/1.1 200 OK\nno colon\nTransfer-Encoding: chunked\n\n2;x\nok\n0\nT: 1\n\n",
        b"HTTP/1.1  200\tOK\r\r\nContent-Length: 2\r\r\n\r\r\nok",
        b"HTTP/1.0 200 OK\nConnection: Keep-Alive\nContent-Length: 2\n\nok",
        b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok",
    ],
)
def test_odd_but_clear_responses_keep_the_connection(answer: bytes, run: Run) -> None:
    """Line ends with LF, and lines that say nothing, cost neither the response nor the connection."""
    got, handler = outcome(answering(answer), run, posts=3)

    assert (got.status, got.error, got.body_start) == (200, None, b"ok")
    assert (handler.connections, len(handler.requests)) == (1, 3)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6\n"),
        (b"\x16\x03\x01\x02\x00", r"\x16\x03\x01\x02\x00"),
        ("café\x1b[31m\u009b".encode() + b"\xff", r"café\x1b[31m\xc2\x9b\xff"),
        (b"\xff" * 2000, r"\xff" * 256),
    ],
)
def test_the_first_bytes_of_a_non_response_are_kept(raw: bytes, shown: str, run: Run) -> None:
    """At most 256 bytes are kept, and those that are not text or could control a terminal are escaped."""
    got, _ = outcome(answering(raw, close=True), run)

    assert (got.status, got.error, body_excerpt(got)) == (None, "protocol", shown)


def test_a_normal_body_is_shown_as_text() -> None:
    """Only bytes that are not a response are escaped."""
    answer = HttpResponse(200, None, "", b"a\x1b\xff", None, None, 0.0)

    assert body_excerpt(answer) == "a��"
