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
    ],
)
def test_a_header_with_control_characters_costs_only_the_connection(header: bytes, shown: str, run: Run) -> None:
    """The response counts, control characters are replaced for display, and the next POST opens a new connection."""
    got, handler = outcome(answering(b"HTTP/1.1 201 OK\r\n" + header + b"\r\n" + LENGTH_2), run, posts=2)

    assert (got.status, got.error, got.body_start, got.response_bytes) == (201, None, b"ok", 2)
    assert header_lines(got.head_start) == f"{shown}\nContent-Length: 2"
    assert handler.connections == 2


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
        b"X : space before the colon\r\n" + LENGTH_2,
        b"X: a\nY: b\r\n" + LENGTH_2,
        b"X: a\rb\r\n" + LENGTH_2,
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
def test_the_status_line_decides_if_the_headers_are_unclear(headers: bytes, rest: bytes, run: Run) -> None:
    """Only the status counts, at once; the bytes that follow are never the response to the next POST."""
    script = answering(b"HTTP/1.1 202 Accepted\r\n" + headers + rest, OK)
    got, handler = outcome(script, run)
    assert (got.status, got.error, got.retry_after) == (202, None, None)
    assert got.duration_s < 2

    again, handler = outcome(answering(b"HTTP/1.1 202 Accepted\r\n" + headers + rest, OK), run, posts=2)
    assert (again.status, again.body_start, handler.connections) == (200, b"ok", 2)


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
