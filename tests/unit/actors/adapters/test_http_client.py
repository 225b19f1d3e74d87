"""The HTTP client with every kind of handler, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from actors.adapters import http_client as module
from actors.adapters import http_connector
from actors.adapters.http_client import PinnedHttpClient, host_header
from actors.adapters.http_connector import tls_context
from actors.adapters.resolver import HandlerResolver
from actors.ports import HttpRequest, HttpResponse
from actors.settings.certificates import authorities
from domain.handler_policy import HandlerPolicy, parse_networks
from tests.raw_handler import (
    OK,
    RawHandler,
    Script,
    answering,
    dropping_packets,
    eventually,
    make_certificates,
    raw_handler,
    read_request,
    reset,
)

LOCAL = HandlerPolicy(parse_networks("127.0.0.0/8,::1/128"))
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both event loops that the HTTP client may run on."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


def request_to(url: str, timeout_s: float = 5.0, body: bytes = b"a=1", headers: Any = ()) -> HttpRequest:
    return HttpRequest(url, [("X-Account", "acc_1"), *headers], body, timeout_s)


def outcome(
    script: Script, run: Run, timeout_s: float = 5.0, posts: int = 1, **kwargs: Any
) -> tuple[HttpResponse, RawHandler]:
    """The last result of `posts` POSTs in a row to a handler that follows the script."""
    results: list[Any] = []

    async def main() -> None:
        async with raw_handler(script) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            for _ in range(posts):
                answer = await http_client.post(request_to(handler.url(), timeout_s, **kwargs))
            results.extend([answer, handler])
            await http_client.close()

    run(main())
    return results[0], results[1]


# --- what is sent


def test_request(run: Run) -> None:
    """A POST has path and query, the host with its port, the headers, the length and the body, and nothing else."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            answer = await http_client.post(request_to(handler.url("/x/y.php?k=v"), body=b"type=click"))
            await http_client.close()
            head, body = handler.requests[0].split(b"\r\n\r\n")
            expected = [
                b"POST /x/y.php?k=v HTTP/1.1",
                b"Host: 127.0.0.1:%d" % handler.port,
                b"Accept: */*",
                b"Accept-Encoding: identity",
                b"X-Account: acc_1",
                b"Content-Length: 10",
            ]

            assert head.split(b"\r\n") == expected
            assert body == b"type=click"
            assert answer[:6] == (200, None, "", b"ok", None, "127.0.0.1")
            assert 0 < answer.duration_s < 5

    run(main())


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "1\r\nX-B: 2"),
        ("X-A", "1\nX-B: 2"),
        ("X-A", "1\rX"),
        ("X-A\r\nX-B", "1"),
        ("X-A", "1\0"),
        ("X-A", "é€"),
    ],
)
def test_headers_cannot_be_injected(header: tuple[str, str]) -> None:
    """A value that would start another header is refused, and nothing is sent."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            with pytest.raises(ValueError, match=r".+"):
                await http_client.post(request_to(handler.url(), headers=[header]))

            assert handler.connections == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/x", "example.com"),
        ("https://example.com:443/x", "example.com"),
        ("http://Example.com:443/x", "example.com:443"),
        ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080"),
    ],
)
def test_host_header(url: str, expected: str) -> None:
    """The Host header omits the scheme's default port and keeps the brackets of an IPv6 address."""
    assert host_header(url) == expected


def test_large_bodies_are_sent_completely(run: Run) -> None:
    """A body of many megabytes arrives byte for byte."""
    body = bytes(range(256)) * 40_000
    answer, handler = outcome(answering(OK), run, body=body, timeout_s=20)

    assert answer.status == 200
    assert handler.requests[0].endswith(b"\r\n\r\n" + body)


# --- answers


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"ok"),
        (
            b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\nRetry-After: 9\r\n\r\n" + OK,
            b"ok",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:   0   \r\n\r\n", b""),
    ],
)
def test_framed_answers_keep_the_connection(answer: bytes, body: bytes, run: Run) -> None:
    """Every way of framing a body is understood, and the next POST uses the same connection."""
    got, handler = outcome(answering(answer), run, posts=3)

    assert got.error is None
    assert got.status in {200, 204}
    assert (got.body_start, got.retry_after) == (body, None)
    assert (handler.connections, len(handler.requests)) == (1, 3)


@pytest.mark.parametrize(
    ("answer", "head"),
    [
        (
            b"HTTP/1.1 200 OK\r\nServer: a:b\r\nset-cookie: 1\r\nset-cookie: 2\r\nX-E:\r\nContent-Length: 0\r\n\r\n",
            b"Server: a:b\nset-cookie: 1\nset-cookie: 2\nX-E:\nContent-Length: 0",
        ),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n", b"X: y"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\nX-T: 1\r\n\r\n",
            b"Transfer-Encoding: chunked",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
            b"Content-Length: 0\nX: " + b"x" * 2027,
        ),
    ],
)
def test_the_first_headers_of_a_response_are_kept(answer: bytes, head: bytes, run: Run) -> None:
    """They are kept in order up to 2 KiB, without those of interim responses and trailers, and
    separately for each response.
    """
    got, handler = outcome(answering(answer), run, posts=2)

    assert (got.head_start, len(got.head_start) <= 2048) == (head, True)
    assert handler.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nuntil the end",
    ],
)
def test_responses_that_end_with_the_connection(answer: bytes, run: Run) -> None:
    """A body that lasts until the connection closes is read to its end, and the next POST opens a new connection."""
    got, handler = outcome(answering(answer, close=True), run, posts=2)

    assert (got.status, got.error, got.body_start) == (200, None, b"until the end")
    assert handler.connections == 2


def test_connection_close_is_obeyed(run: Run) -> None:
    """After `Connection: close` the client closes the connection, even if the handler does not."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    _, handler = outcome(answering(answer), run, posts=3)

    assert handler.connections == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 410, 500, 503, 999])
def test_any_status_is_an_answer(status: int, run: Run) -> None:
    """Redirects and failures are returned unchanged, and redirects are not followed."""
    text = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    got, handler = outcome(answering(text.encode()), run)

    assert (got.status, got.error, got.retry_after) == (status, None, "120")
    assert len(handler.requests) == 1


def test_compressed_bodies_are_kept_raw(run: Run) -> None:
    """A compressed body, which the client never asks for, is not inflated."""
    packed = gzip.compress(b"x" * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    got, _ = outcome(answering(head + packed), run)

    assert got.body_start == packed[:1024]


def test_no_cookies_are_sent_back(run: Run) -> None:
    """A cookie from a response is not sent in the next request."""
    _, handler = outcome(answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"), run, posts=2)

    assert b"ookie" not in handler.requests[1]


def test_only_the_start_of_a_body_is_kept(run: Run) -> None:
    """The first KiB of a body is kept, although all of it is read."""
    body = b"0123456789" * 5000
    got, handler = outcome(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body), run, posts=2)

    assert got.body_start == body[:1024]
    assert handler.connections == 1


@pytest.mark.parametrize("head", [b"Content-Length: 99999999", b"Transfer-Encoding: chunked", b"X: close-delimited"])
def test_endless_bodies_are_cut(head: bytes, run: Run) -> None:
    """After 64 KiB of body the status counts, the rest is not read and the connection is closed."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        handler.requests.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        piece = b"1000\r\n" + b"z" * 4096 + b"\r\n" if b"chunked" in head else b"z" * 4096
        while True:
            writer.write(piece)
            await writer.drain()

    got, handler = outcome(script, run, posts=2)

    assert (got.status, got.error, got.body_start) == (200, None, b"z" * 1024)
    assert handler.connections == 2


def test_tiny_chunks_are_bounded(run: Run) -> None:
    """Chunks of one byte with long extensions cannot keep the HTTP client reading for ever."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1;" + b"e" * 4000 + b"\r\nx\r\n")
            await writer.drain()

    got, _ = outcome(script, run)

    assert got.status == 200


@pytest.mark.parametrize("piece", [b"X-%d: " + b"h" * 500 + b"\r\n", b"h" * 500], ids=["many headers", "one header"])
def test_endless_headers_are_too_large(piece: bytes, run: Run) -> None:
    """Headers beyond 32 KiB end the attempt as too_large."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        for number in range(10_000):
            writer.write(piece % number if b"%d" in piece else piece)
            await writer.drain()

    got, _ = outcome(script, run)

    assert (got.status, got.error) == (None, "too_large")


def test_large_headers_in_one_piece_are_too_large(run: Run) -> None:
    """Headers beyond 32 KiB are too large even if they arrive at once with their body."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"h" * 100) for number in range(400))
    got, _ = outcome(answering(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"), run)

    assert got.error == "too_large"


def test_endless_interim_responses_are_too_large(run: Run) -> None:
    """Endless 1xx responses end as too_large and not in an endless loop."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    got, _ = outcome(script, run)

    assert got.error == "too_large"


# --- faults


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx",
        b"HTTP/1.1 20\x1b OK\r\n\r\n",
        b"\r\n" * 5,
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2x0 OK\r\nbad header\r\n\r\n",
    ],
)
def test_garbage_is_a_protocol_error(answer: bytes, run: Run) -> None:
    """Anything but an HTTP/1.1 response is a protocol error at once."""
    got, _ = outcome(answering(answer), run)

    assert (got.status, got.error, got.address) == (None, "protocol", "127.0.0.1")
    assert got.detail
    assert (got.body_start, got.body_start != b"") == (answer[:256], True)


def test_bytes_after_the_response_spoil_only_the_connection(run: Run) -> None:
    """A second, unrequested response never counts as the response to the next POST."""
    got, handler = outcome(answering(OK + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", OK), run, posts=2)

    assert got.status == 200
    assert handler.connections == 2


def test_unrequested_bytes_close_an_idle_connection(run: Run) -> None:
    """A response that arrives between two POSTs closes the connection."""

    async def main() -> None:
        poison = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
            await read_request(reader)
            writer.write(OK)
            await poison.wait()
            writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
            await reader.read()

        async with raw_handler(script) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            await http_client.post(request_to(handler.url()))
            poison.set()
            await asyncio.wait_for(handler.closed.wait(), 5)
            answer = await http_client.post(request_to(handler.url()))
            await http_client.close()

            assert (answer.status, handler.connections) == (200, 2)

    run(main())


def test_silence_times_out(run: Run) -> None:
    """A handler that never responds costs exactly the attempt's timeout."""

    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await reader.read()

    got, _ = outcome(script, run, timeout_s=0.2)

    assert (got.status, got.error) == (None, "timeout")
    assert got.detail == "no byte of an answer arrived within 0.2 s"
    assert 0.15 < got.duration_s < 2


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_slow_responses_time_out(start: bytes, run: Run) -> None:
    """Single bytes now and then, in headers or body, do not extend the attempt."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(start)
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    got, _ = outcome(script, run, timeout_s=0.3)

    assert (got.status, got.error) == (None, "timeout")
    assert got.duration_s < 2


def test_each_exchange_has_its_own_timeout(run: Run) -> None:
    """A short timeout on a reused connection applies, although its timer was set for the idle time."""

    async def main() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
            await read_request(reader)
            writer.write(OK)
            await reader.read()

        async with raw_handler(script) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            await http_client.post(request_to(handler.url(), 5))
            answer = await http_client.post(request_to(handler.url(), 0.2))
            await http_client.close()

            assert (answer.error, handler.connections) == ("timeout", 1)
            assert answer.duration_s < 2

    run(main())


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "before an answer arrived"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "middle"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n", "middle"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n", "middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "middle"),
    ],
)
@pytest.mark.parametrize("with_reset", [False, True])
def test_lost_connections_are_disconnects(start: bytes, words: str, with_reset: bool, run: Run) -> None:
    """A connection that ends before its response is a disconnect; a new connection is not tried twice."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        handler.requests.append(await read_request(reader))
        writer.write(start)
        await writer.drain()
        if with_reset:
            await asyncio.sleep(0.02)
            reset(writer)

    got, handler = outcome(script, run)

    assert (got.status, got.error) == (None, "disconnect")
    assert words in got.detail
    assert len(handler.requests) == 1


def test_a_refused_connection_is_connect(run: Run) -> None:
    """The error names the address."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as handler:
            pass
        http_client = PinnedHttpClient(HandlerResolver(LOCAL))
        answer = await http_client.post(request_to(handler.url()))

        assert (answer.status, answer.error, answer.address) == (None, "connect", "127.0.0.1")
        assert f"127.0.0.1 port {handler.port}" in answer.detail

    run(main())


def test_stale_connections_are_retried_once(run: Run) -> None:
    """A reused connection that ends before any response costs a new connection and no failure."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        handler.requests.append(await read_request(reader))
        writer.write(OK)
        handler.requests.append(await read_request(reader))
        reset(writer)

    got, handler = outcome(script, run, posts=2)

    assert (got.status, got.error) == (200, None)
    assert (handler.connections, len(handler.requests)) == (2, 3)


def test_a_connection_closed_while_idle_is_not_used(run: Run) -> None:
    """A connection that the handler has closed meanwhile is dropped."""

    async def main() -> None:
        async with raw_handler(answering(OK, close=True)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            await http_client.post(request_to(handler.url()))
            await eventually(lambda: not http_client._connector.connections)
            answer = await http_client.post(request_to(handler.url()))

            assert (answer.status, handler.connections, len(handler.requests)) == (200, 2, 2)

    run(main())


def test_idle_connections_are_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection is closed after IDLE_S."""

    async def main() -> None:
        monkeypatch.setattr(module, "IDLE_S", 0.05)
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            await http_client.post(request_to(handler.url(), timeout_s=0.1))
            await asyncio.wait_for(handler.closed.wait(), 5)
            await eventually(lambda: not http_client._connector.connections)

    run(main())


def test_old_connections_are_not_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection older than MAX_AGE_S is not reused, so the client notices when a handler moves."""
    monkeypatch.setattr(module, "MAX_AGE_S", -1.0)
    _, handler = outcome(answering(OK), run, posts=2)

    assert handler.connections == 2


def test_the_pool_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections beyond MAX_IDLE are closed after use; during POSTs there may be one for each."""

    async def main() -> None:
        monkeypatch.setattr(module, "MAX_IDLE", 2)
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            await asyncio.gather(*(http_client.post(request_to(handler.url())) for _ in range(8)))

            assert handler.connections == 8
            await eventually(lambda: len(http_client._connector.connections) == 2)
            await http_client.close()

    run(main())


def test_remembered_urls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prepared heads of old URLs are dropped, but idle connections are not."""

    async def main() -> None:
        monkeypatch.setattr(module, "MAX_TARGETS", 3)
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            for number in range(10):
                await http_client.post(request_to(handler.url(f"/{number}")))
            await http_client.close()

            assert len(http_client._targets) <= 3
            assert handler.connections == 1

    asyncio.run(main())


def test_cancelled_posts_close_their_connection(run: Run) -> None:
    """Cancelling a POST closes its connection, so that the next POST cannot get its response."""

    async def main() -> None:
        arrived = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
            await read_request(reader)
            arrived.set()
            await reader.read()

        async with raw_handler(script) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            task = asyncio.create_task(http_client.post(request_to(handler.url())))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(handler.closed.wait(), 5)
            await eventually(lambda: not http_client._connector.connections)

    run(main())


def test_close_ends_exchanges(run: Run) -> None:
    """Closing the HTTP client ends exchanges in flight as a disconnect and leaves no connection."""

    async def main() -> None:
        arrived = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
            await read_request(reader)
            arrived.set()
            await reader.read()

        async with raw_handler(script) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL))
            task = asyncio.create_task(http_client.post(request_to(handler.url())))
            await arrived.wait()
            await http_client.close()

            assert (await task).error == "disconnect"

    run(main())


# --- addresses


def test_banned_addresses_are_not_connected_to(run: Run) -> None:
    """A handler at a private address is refused with the reason and never sees a connection."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(HandlerPolicy(())))
            for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
                answer = await http_client.post(request_to(handler.url(host=host)))

                assert (answer.status, answer.error, answer.address) == (None, "address", None)
                assert "FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS" in answer.detail
            assert handler.connections == 0

    run(main())


def test_dns_rebinding_is_refused(run: Run) -> None:
    """A name that had a public address when it was checked and now has 127.0.0.1 is never connected to."""

    async def main() -> None:
        answers = [["93.184.216.34"], ["127.0.0.1"]]

        async def look_up(_host: str) -> list[str]:
            return answers.pop(0)

        times = iter([0.0, 100.0, 100.0, 200.0, 200.0])
        async with raw_handler(answering(OK)) as handler:
            resolver = HandlerResolver(HandlerPolicy(()), look_up, lambda: next(times, 300.0))
            await resolver.check_url(handler.url(host="rebinding.example"))
            answer = await PinnedHttpClient(resolver).post(request_to(handler.url(host="rebinding.example")))

            assert (answer.status, answer.error, handler.connections) == (None, "address", 0)

    run(main())


def test_the_next_address_is_tried(run: Run) -> None:
    """If one permitted address refuses the connection, the client connects to the next."""

    async def main() -> None:
        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.2", "10.0.0.1", "127.0.0.1"]

        async with raw_handler(answering(OK)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up))
            answer = await http_client.post(request_to(handler.url(host="two.example")))
            await http_client.close()

            assert (answer.status, answer.address) == (200, "127.0.0.1")
            assert b"Host: two.example:" in handler.requests[0]

    run(main())


@pytest.mark.parametrize("silent", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3", "127.0.0.4"]])
def test_an_address_that_drops_packets_costs_only_a_moment(silent: list[str], run: Run) -> None:
    """While an address does not answer at all, the next ones are tried as well, and no attempt is left over."""

    async def main() -> None:
        async def look_up(_host: str) -> list[str]:
            return [*silent, "10.0.0.1", "127.0.0.1"]

        async with raw_handler(answering(OK)) as handler:
            with contextlib.ExitStack() as stack:
                for address in silent:
                    stack.enter_context(dropping_packets(address, handler.port))
                http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up))
                answer = await http_client.post(request_to(handler.url(host="two.example"), timeout_s=4.0))

                assert (answer.status, answer.address) == (200, "127.0.0.1")
                assert len(http_client._connector.connections) == 1
                await http_client.close()
            await eventually(lambda: len(asyncio.all_tasks()) == 1)

    run(main())


def test_the_most_helpful_failure_of_several_addresses_is_reported(run: Run) -> None:
    """If no address can be connected to, a refusal says more than silence."""

    async def main() -> None:
        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]

        async with raw_handler(answering(OK)) as handler:
            port = handler.port
        with dropping_packets("127.0.0.2", port):
            http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up))
            answer = await http_client.post(request_to(f"http://two.example:{port}/", timeout_s=1.0))

            assert (answer.error, answer.address) == ("connect", "127.0.0.1")

    run(main())


def test_of_two_addresses_that_answer_one_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that succeeds too late is closed."""

    async def main() -> None:
        monkeypatch.setattr(http_connector, "STAGGER_S", 0.0)

        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1", "127.0.0.2"]

        async with raw_handler(answering(OK), host="0.0.0.0") as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up))
            answers = [await http_client.post(request_to(handler.url(host="two.example"))) for _ in range(3)]
            await eventually(lambda: len(http_client._connector.connections) == 1)
            await http_client.close()

            assert [(answer.status, len(handler.requests)) for answer in answers] == [(200, 3)] * 3

    run(main())


def test_unresolvable_names_are_dns_errors(run: Run) -> None:
    """A name without an address is `dns`, and so is one whose name server exceeds the timeout."""

    async def main() -> None:
        async def fail(_host: str) -> list[str]:
            raise OSError(-2, "Name or service not known")

        async def hang(_host: str) -> list[str]:
            await asyncio.Event().wait()
            return []

        for look_up in (fail, hang):
            http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up))
            answer = await http_client.post(request_to("http://gone.example/x", 0.1))

            assert (answer.status, answer.error) == (None, "dns")
            assert "gone.example" in answer.detail

    run(main())


def test_connecting_has_its_own_timeout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that accepts but never starts TLS costs the connect timeout and not the attempt's."""

    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await reader.read()

    async def main() -> None:
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
        async with raw_handler(script) as handler:
            begun_s = time.monotonic()
            answer = await PinnedHttpClient(HandlerResolver(LOCAL)).post(request_to(handler.url(scheme="https"), 10))

            assert answer.error == "timeout"
            assert "no TLS" in answer.detail
            assert time.monotonic() - begun_s < 3

    run(main())


# --- TLS


def test_tls_to_a_valid_name(run: Run, tmp_path: Path) -> None:
    """A handler with a certificate for its name gets POSTs over one TLS connection, at the pinned address."""

    async def main() -> None:
        certificates = make_certificates(tmp_path, "shop.example")

        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1"]

        async with raw_handler(answering(OK), tls=certificates.server) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL, look_up), certificates.client)
            url = handler.url(host="shop.example", scheme="https")
            answers = [await http_client.post(request_to(url)) for _ in range(3)]
            await http_client.close()
            await eventually(lambda: not http_client._connector.connections)

            assert [a.status for a in answers] == [200, 200, 200]
            assert (handler.connections, answers[0].address) == (1, "127.0.0.1")

    run(main())


def test_tls_with_a_wrong_certificate(run: Run, tmp_path: Path) -> None:
    """A certificate of another name or an unknown authority, or no TLS, is `tls`, and nothing is sent."""

    async def main() -> None:
        certificates = make_certificates(tmp_path, "other.example")

        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1"]

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _handler: RawHandler) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with raw_handler(answering(OK), tls=certificates.server) as handler, raw_handler(speak) as speaker:
            resolver = HandlerResolver(LOCAL, look_up)
            url = handler.url(host="shop.example", scheme="https")
            misnamed = await PinnedHttpClient(resolver, certificates.client).post(request_to(url))
            unknown = await PinnedHttpClient(resolver).post(
                request_to(handler.url(host="other.example", scheme="https"))
            )
            no_tls = await PinnedHttpClient(resolver).post(request_to(speaker.url(host="x.example", scheme="https")))

            assert (misnamed.error, unknown.error, no_tls.error) == ("tls", "tls", "tls")
            assert "--handler-ca-file" in unknown.detail
            assert "--handler-ca-file" not in misnamed.detail + no_tls.detail
            assert "shop.example" in misnamed.detail
            assert handler.requests == []

    run(main())


def test_private_authorities_are_trusted_too(run: Run, tmp_path: Path) -> None:
    """A handler with a certificate of a given authority is reached, and the public authorities stay trusted."""

    async def main() -> None:
        certificates = make_certificates(tmp_path, "127.0.0.1")
        pem = authorities(str(tmp_path / "server.pem"))
        context = tls_context(pem)
        async with raw_handler(answering(OK), tls=certificates.server) as handler:
            http_client = PinnedHttpClient(HandlerResolver(LOCAL), context)
            answer = await http_client.post(request_to(handler.url(scheme="https")))
            await http_client.close()

            assert answer.status == 200
        assert len(context.get_ca_certs()) == len(tls_context().get_ca_certs()) + 1

    run(main())
