"""The response parser, compared with how the real curl reads the same bytes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.http_response import BODY_START_BYTES, ExchangeFailed, ResponseParser

CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="needs curl")


class Reading(NamedTuple):
    """What a reader makes of a response; the status is None if it is none."""

    status: int | None
    body: bytes


NOTHING = Reading(None, b"")


def read_by_parser(pieces: Sequence[bytes], parser: ResponseParser | None = None) -> Reading:
    """What the parser makes of pieces that arrive one after the other, before the connection ends."""
    parser = parser or ResponseParser()
    parser.begin()
    try:
        is_over = any(parser.feed(piece) for piece in pieces if piece) or parser.finish()
    except ExchangeFailed:
        is_over = False
    if not (is_over or parser.is_doubtful):
        return NOTHING
    answer = parser.response("", 0.0)
    return Reading(answer.status, answer.body_start)


async def read_by_curl(raw: bytes) -> Reading:
    """What curl makes of a response on a connection that ends after it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.write_eof()
        await reader.read()
        writer.close()

    assert CURL is not None
    options = ["-q", "-s", "-H", "Connection: close", "--max-time", "20", "-w", "\n%{exitcode} %{http_code}"]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        process = await asyncio.create_subprocess_exec(CURL, *options, url, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    body, _, result = output.rpartition(b"\n")
    exit_code, status = map(int, result.split())
    is_response = exit_code == 0 and status >= 200  # curl is content with half an interim response
    return Reading(status, body[:BODY_START_BYTES]) if is_response else NOTHING


def _texts(*texts: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([text.encode("latin-1") for text in texts])


ENDS = st.sampled_from([b"\r\n"] * 4 + [b"\n", b"\n", b"\r\r\n"])
BODIES = st.binary(max_size=12) | _texts("ok", "ok\n", "\r\nok", "HTTP/1.1 500 X\r\n\r\n", "x" * 2000)
STATUS_LINES = st.builds(
    lambda *parts: b"".join(parts),
    _texts(*["HTTP/1.1"] * 8, *["HTTP/1.0"] * 3, "HTTP/2", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP", "X"),
    _texts(" ", " ", " ", "  ", "\t"),
    st.integers(200, 999).map(lambda status: b"%d" % status) | _texts("200", "204", "304", "20", "200x", "-20"),
    _texts(" OK", " OK", "", " ", "\tOK", ";x", " \xff\x1b[31m", " OK: x", " HTTP/1.1 200 OK"),
)
LENGTHS = st.one_of(
    st.integers(0, 15).map(lambda length: b"%d" % length),
    _texts(
        "2x", "2, 2", "2,4", "+2", "02", "2.5", "0x2", "99999999999999999999999", "-1", "", "abc", "2 2", "\t2", "2\t"
    ),
)
FIELDS = st.one_of(
    LENGTHS.map(lambda length: b"Content-Length: " + length),
    LENGTHS.map(lambda length: b"content-length:" + length),
    _texts("Content-Length : 1", "Content-Length 2", " Content-Length: 1", "X-Content-Length: 1", "Content-Lengt: 1"),
    _texts("Connection: close", "Connection: keep-alive", "Retry-After: 9", "Set-Cookie: a=b", "X-Empty:", ": no name"),
    _texts(
        "no colon", "X: \x1b[31m", "X: caf\xe9", "X: a\rb", "X : y", "X: a\x7f", "Transfer-Encodin: chunked", "X: a\0"
    ),
    st.binary(max_size=30).filter(lambda line: not {0, 10, 13} & set(line)),
)
CODINGS = _texts(
    "Transfer-Encoding: chunked",
    "transfer-encoding:Chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding:",
)
CHUNK_EXTENSIONS = _texts("", "", "", ";x=y", " ", ' ; a="b"', "\t;")


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    body = b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        size = draw(_texts("%x", "%X", "0%x", "000%x")) % len(chunk)
        body += size + draw(CHUNK_EXTENSIONS) + draw(ENDS) + chunk + draw(ENDS)
    body += draw(_texts("0", "000")) + draw(CHUNK_EXTENSIONS) + draw(ENDS)
    trailers = draw(st.lists(_texts("X: y", "Content-Length: 5", "T:"), max_size=2))
    # curl reads a trailer's line end more strictly than all others.
    return body + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


@st.composite
def _responses(draw: st.DrawFn) -> bytes:
    interims = draw(
        st.lists(_texts("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 E\nContent-Length: 5\n\n"), max_size=2)
    )
    lines = [draw(STATUS_LINES), *draw(st.lists(FIELDS, max_size=5))]
    is_chunked = draw(st.booleans())
    if is_chunked:
        lines.insert(draw(st.integers(1, len(lines))), draw(CODINGS))
    head = b"".join(line + draw(ENDS) for line in lines) + draw(ENDS)
    body = draw(_chunked()) if is_chunked else draw(BODIES)
    head = b"".join(interims) + head
    if draw(st.integers(0, 9)):
        return head + body
    if draw(st.booleans()):
        return head + body[: draw(st.integers(0, len(body)))]
    # Of a head, only whole lines: curl takes half a header for one, but we take it for a broken connection.
    return b"".join(head.splitlines(keepends=True)[: draw(st.integers(0, 8))]) if b"\r\r" not in head else head


@needs_curl
@settings(max_examples=300, deadline=None)
@given(raw=_responses())
def test_what_curl_accepts_is_accepted_and_read_alike(raw: bytes) -> None:
    """Status and body are those that curl reads. What curl refuses may be accepted."""
    by_curl = asyncio.run(read_by_curl(raw))

    assert by_curl == NOTHING or read_by_parser([raw]) == by_curl


@needs_curl
@pytest.mark.parametrize(
    ("raw", "reading"),
    [
        (b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok", Reading(201, b"ok")),
        (b"HTTP/1.1 200 OK\n\nok", Reading(200, b"ok")),
        (b"garbage", NOTHING),
    ],
)
def test_curl_is_asked(raw: bytes, reading: Reading) -> None:
    """The comparison is about something: curl accepts responses, and refuses what is none."""
    assert asyncio.run(read_by_curl(raw)) == read_by_parser([raw]) == reading


@settings(max_examples=400, deadline=None)
@given(raw=_responses(), data=st.data())
def test_pieces_do_not_matter(raw: bytes, data: st.DataObject) -> None:
    """However the bytes are cut, the result is the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert read_by_parser(pieces) == read_by_parser([bytes([byte]) for byte in raw]) == read_by_parser([raw])


@settings(max_examples=400, deadline=None)
@given(raws=st.lists(_responses(), min_size=1, max_size=3).map(lambda raws: raws * 2))
def test_responses_do_not_affect_each_other(raws: list[bytes]) -> None:
    """Each response of a connection is read as if it were the first, whether or not its head was seen before."""
    parser = ResponseParser()
    for raw in raws:
        assert read_by_parser([raw], parser) == read_by_parser([raw])


@settings(max_examples=400, deadline=None)
@given(raw=st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"HTTP/1.1 200 OK\r\n" + data))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    """Arbitrary bytes are a response or none, and nothing worse."""
    read_by_parser([raw])
