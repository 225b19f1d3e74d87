"""Size and time limits of connections, on real sockets, with the configured server."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from api.http import connection_limits
from api.http.connection_budget import RESERVED, ConnectionBudget
from api.http.connection_limits import MAX_HEAD_BYTES, HttpLimits, LimitedHttpProtocol
from tests.unit.api.http.fake_server import BODY_S, GET, LONGER_S, PAUSE_S, App, Connection, serve


def refused(answer: tuple[int, bytes], status: int, slug: str) -> None:
    document = json.loads(answer[1])
    assert (answer[0], document["status"], document["type"]) == (status, status, f"/problems/{slug}")
    assert document["detail"]


async def drip(connection: Connection, data: bytes, pause_s: float) -> None:
    """Sends single bytes until the server has closed the connection."""
    for byte in data * 1000:
        await connection.send(bytes([byte]))
        await asyncio.sleep(pause_s)


# --- size


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ok HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (1 << 22),
        b"GET /" + b"x" * (1 << 22),
        b"GET /ok HTTP/1.1\r\n" + b"X: y\r\n" * (1 << 19),
        b"GET /ok HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"\r\n" * (1 << 20),
    ],
    ids=["a header", "the URL", "many headers", "whole in one piece", "empty lines"],
)
def test_a_head_beyond_the_limit_is_refused(head: bytes) -> None:
    """The answer is 431 and the connection is closed during the upload; nothing reaches the application."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        sending = asyncio.create_task(connection.send(head))
        refused(await connection.answer(), 431, "head-too-large")
        assert await connection.is_closed()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert app.paths == []
        assert (await (await connect()).asked(GET))[0] == 200

    serve(scenario)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_head_within_the_limit_is_accepted_in_any_pieces(size: int) -> None:
    """Exactly 64 KiB are accepted, and the next request has the whole limit again."""
    start, end = b"GET /ok HTTP/1.1\r\nX: ", b"\r\n\r\n"
    long = start + b"x" * (MAX_HEAD_BYTES - len(start) - len(end)) + end
    head = long if size > 1 else GET

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        for _ in range(3):
            for at in range(0, len(head), size):
                await connection.send(head[at : at + size])
                await asyncio.sleep(0)
            assert (await connection.answer())[0] == 200
        assert app.paths == ["/ok"] * 3

    serve(scenario)


def test_bodies_and_pipelines_do_not_count_as_heads() -> None:
    """A body of 4 MiB, a chunked one, and 10,000 requests in one piece are answered in order."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        size = 1 << 22
        body = b"POST /ok HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
        assert await connection.asked(body + GET) == (200, b"%d" % size)
        assert await connection.answer() == (200, b"0")
        chunks = b"POST /ok HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
        assert await connection.asked(chunks) == (200, b"50000")
        sending = asyncio.create_task(connection.send(GET * 10_000))
        for _ in range(10_000):
            assert await connection.answer() == (200, b"0")
        await sending

    serve(scenario, LimitedHttpProtocol)


@pytest.mark.parametrize("tail", [b"0\r\nX: " + b"x" * (1 << 22), b"1;" + b"x" * (1 << 22)], ids=["trailer", "chunk"])
def test_trailers_and_chunk_extensions_are_bounded(tail: bytes) -> None:
    """An endless trailer or chunk extension gets 431, and the application sees the client disconnect."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        start = b"POST /ok HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        sending = asyncio.create_task(connection.send(start + tail))
        refused(await connection.answer(), 431, "head-too-large")
        await app.went_away.wait()
        assert await connection.is_closed()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    serve(scenario)


# --- time


@pytest.mark.parametrize("start", [b"", GET], ids=["fresh", "kept"])
@pytest.mark.parametrize(
    ("head", "more"), [(b"GET /ok HTTP/1.1\r\nX: ", b"x"), (b"\r\n", b"\r\n")], ids=["header", "empty lines"]
)
@pytest.mark.parametrize("pause_s", [0.05, 60])
def test_an_endless_head_times_out(start: bytes, head: bytes, more: bytes, pause_s: float) -> None:
    """It gets 408, with or without further bytes, on a new connection and on a reused one."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        if start:
            assert (await connection.asked(start))[0] == 200
        await connection.send(head)
        dripping = asyncio.create_task(drip(connection, more, pause_s))
        refused(await connection.answer(), 408, "request-too-slow")
        assert await connection.is_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)

    serve(scenario)


def test_a_new_idle_connection_is_closed() -> None:
    """It gets no response, because there was no request (browsers connect in advance)."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        assert await (await connect()).is_closed()

    serve(scenario)


def test_a_kept_connection_may_be_idle_longer() -> None:
    """Only the limit for idle connections counts between requests, also after a body that followed its response."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        assert (await connection.asked(GET))[0] == 200
        assert (await connection.asked(b"POST /refused HTTP/1.1\r\nContent-Length: 2\r\n\r\na"))[0] == 401
        await connection.send(b"b")
        await asyncio.sleep(LONGER_S)
        assert (await connection.asked(GET))[0] == 200
        assert app.paths == ["/ok", "/refused", "/ok"]

    serve(scenario)


@pytest.mark.parametrize("is_proxy", [False, True])
def test_only_a_proxy_may_keep_a_connection_idle_for_long(is_proxy: bool) -> None:
    """A client without a proxy's address is disconnected soon after its latest response."""

    class Protocol(LimitedHttpProtocol):
        limits: ClassVar[HttpLimits] = HttpLimits(idle_s=0.4)

    proxies = (ipaddress.ip_network("127.0.0.0/8"),) if is_proxy else ()

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        assert (await connection.asked(GET))[0] == 200
        if not is_proxy:
            async with asyncio.timeout(LONGER_S):
                assert await connection.is_closed()
            return
        await asyncio.sleep(LONGER_S)
        assert (await connection.asked(GET))[0] == 200

    serve(scenario, Protocol, trusted_proxies=proxies)


def test_incomplete_heads_take_little_memory_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the oldest is closed; what is complete counts no longer, and bodies do not count."""
    monkeypatch.setattr(connection_limits, "MAX_HELD_BYTES", 100_000)

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        half = b"GET /ok HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 30_000
        for _ in range(5):  # these are completed
            connection = await connect()
            await connection.send(half)
            assert (await connection.asked(b"\r\n\r\n"))[0] == 200
        uploading = await connect()
        await uploading.send(b"POST /ok HTTP/1.1\r\nContent-Length: 50001\r\n\r\n" + b"x" * 50_000)
        idle = await connect()
        waiting = [await connect() for _ in range(4)]
        for connection in waiting:
            await connection.send(half)
            await connection.send(b"x")
        assert await waiting[0].is_closed()
        for connection in waiting[1:]:
            assert (await connection.asked(b"\r\n\r\n"))[0] == 200
        assert (await uploading.asked(b"x"))[0] == 200
        assert (await idle.asked(GET))[0] == 200

    class Protocol(LimitedHttpProtocol):
        limits: ClassVar[HttpLimits] = HttpLimits()

    serve(scenario, Protocol)


def test_a_new_connection_replaces_the_one_that_waits_longest(caplog: pytest.LogCaptureFixture) -> None:
    """Above the budget, a request is answered at once, and the oldest half-sent head or idle connection is closed."""

    class Protocol(LimitedHttpProtocol):
        budget: ClassVar[ConnectionBudget] = ConnectionBudget(16 + RESERVED)

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        kept = await connect()
        assert (await kept.asked(GET))[0] == 200
        slow = [await connect() for _ in range(15)]
        for connection in slow:
            await connection.send(b"GET /ok HTTP/1.1\r\n")
        for closed in slow[:3]:
            assert (await (await connect()).asked(GET))[0] == 200
            assert await closed.is_closed()
        assert Protocol.budget.closed == 3
        assert (await kept.asked(GET))[0] == 200
        await slow[-1].send(b"\r\n")
        assert (await slow[-1].answer())[0] == 200

    serve(scenario, Protocol)
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["open_files_exhausted"]


@pytest.mark.parametrize("pause_s", [0.05, 60])
def test_an_endless_body_times_out(pause_s: float) -> None:
    """It gets 408 if nothing arrives or the whole takes too long; the application sees the client disconnect."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        began_s = asyncio.get_running_loop().time()
        await connection.send(b"POST /ok HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx")
        dripping = asyncio.create_task(drip(connection, b"x", pause_s))
        refused(await connection.answer(), 408, "request-too-slow")
        assert asyncio.get_running_loop().time() - began_s >= (BODY_S if pause_s < PAUSE_S else PAUSE_S)
        await app.went_away.wait()
        assert await connection.is_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)

    serve(scenario)


def test_a_slow_body_after_its_response_is_cut_off() -> None:
    """The connection is closed without a second response."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        assert (await connection.asked(b"POST /refused HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx"))[0] == 401
        dripping = asyncio.create_task(drip(connection, b"x", 0.05))
        assert await connection.is_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)

    serve(scenario)


def test_a_steady_body_is_accepted() -> None:
    """Pauses shorter than the limit are allowed."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        await connection.send(b"POST /ok HTTP/1.1\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            await asyncio.sleep(PAUSE_S / 3)
            await connection.send(b"x")
        assert await connection.answer() == (200, b"4")

    serve(scenario)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"POST /ok HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + bytes(8_999_999), b"x"),
        (GET + b"GET /ok HT", b"TP/1.1\r\n\r\n"),
        (GET + GET + b"POST /ok HTTP/1.1\r\nContent-Length: 2\r\n\r\nx", b"x"),
    ],
    ids=["large body", "next head", "pipeline"],
)
def test_the_applications_time_does_not_count(first: bytes, rest: bytes) -> None:
    """A client cannot time out while the application keeps it waiting."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        app.gate.clear()
        sending = asyncio.create_task(connection.send(first))
        await asyncio.sleep(LONGER_S)
        app.gate.set()
        await sending
        await connection.send(rest)
        for _ in range(first.count(b"/ok")):
            assert (await connection.answer())[0] == 200

    serve(scenario)


def test_a_client_may_wait_for_100_continue() -> None:
    """The body's timeout starts only after `100 Continue` has asked for the body."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        app.gate.clear()
        await connection.send(b"POST /ok HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        await asyncio.sleep(LONGER_S)
        app.gate.set()
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await connection.asked(b"abc") == (200, b"3")

    serve(scenario)
