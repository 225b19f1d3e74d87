"""Responses to clients that are still sending, on real sockets, with the configured server."""

from __future__ import annotations

import asyncio
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.http.connection_limits import MAX_HEAD_BYTES, LimitedHttpProtocol
from api.journal.journal import Journal
from api.tracking.app import TrackingApp
from domain.key_set import KeySet
from domain.tokens import TrackingTokens
from tests.unit.api.fake_api import ADMIN_KEY, Api
from tests.unit.api.http.fake_server import App, Connection, serve


class Clock:
    def now_ms(self) -> int:
        return 1_700_000_000_000


def urllib_status(port: int, path: str, body: Any, method: str = "POST", **headers: str) -> int:
    """The status that Python's urllib sees. It sends `Connection: close` and the whole body before it reads."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status: int = response.status
    except urllib.error.HTTPError as answer:
        with answer:
            answer.read()
            status = answer.code
    return status


def port_of(connection: Connection) -> int:
    """The server's port."""
    port: int = connection.writer.get_extra_info("peername")[1]
    return port


@pytest.mark.parametrize("size", [1 << 10, 1 << 17, 1 << 20, 50 << 20])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_client_that_is_still_sending_sees_the_response(size: int, is_chunked: bool) -> None:
    """However long its body is, and with or without Content-Length, it gets the response instead of a reset."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        port = port_of(await connect())
        for _ in range(3):
            body = iter([bytes(1 << 10)] * (size >> 10)) if is_chunked else bytes(size)
            assert await asyncio.to_thread(urllib_status, port, "/refused", body) == 401
        assert app.paths == ["/refused"] * 3

    serve(scenario, LimitedHttpProtocol)


AUTHORIZATION = f"Bearer {ADMIN_KEY}"
JSON = "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("POST", "/v1/accounts", 401, {}),
        ("POST", "/v1/accounts", 413, {"Authorization": AUTHORIZATION, "Content-Type": JSON}),
        ("POST", "/v1/accounts", 415, {"Authorization": AUTHORIZATION, "Content-Type": "text/plain"}),
        ("POST", "/v1/accounts", 415, {"Authorization": AUTHORIZATION, "Content-Encoding": "br"}),
        ("POST", "/v1/accounts?x=1", 422, {"Authorization": AUTHORIZATION, "Content-Type": JSON}),
        ("PUT", "/v1/accounts", 405, {"Authorization": AUTHORIZATION}),
        ("POST", "/v1/messages", 401, {}),
        ("POST", "/nothing", 404, {}),
        ("POST", "/healthz", 405, {}),
        ("POST", "/dashboard/sign-in", 413, {}),
    ],
)
def test_every_error_of_the_api_is_seen(method: str, path: str, status: int, headers: dict[str, str]) -> None:
    """Whatever the reason, and whoever asks."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        found = await asyncio.to_thread(
            urllib_status, port_of(await connect()), path, bytes(4 << 20), method, **headers
        )
        assert found == status

    serve(scenario, LimitedHttpProtocol, Api().app)


@pytest.mark.parametrize(("method", "kind", "status"), [("POST", "o", 405), ("PUT", "u", 405), ("POST", "u", 413)])
def test_every_error_of_tracking_is_seen(tmp_path: Path, method: str, kind: str, status: int) -> None:
    """A body that nobody wants does not reset the connection."""
    tokens = TrackingTokens(KeySet.single(b"k" * 32))

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        path = f"/{kind}/{tokens.open(1, 1) if kind == 'o' else tokens.unsubscribe(1, 1)}"
        assert await asyncio.to_thread(urllib_status, port_of(await connect()), path, bytes(4 << 20), method) == status

    journal = Journal.open(tmp_path / "j", 1 << 22)
    serve(scenario, LimitedHttpProtocol, TrackingApp(tokens, journal, [], Clock()))
    asyncio.run(journal.close())


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"POST /refused HTTP/1.1\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n", 401),
        (b"POST /refused HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n", 401),
        (b"POST /refused HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", 401),
        (b"this is no HTTP\r\n\r\n", 400),
        (b"POST /ok HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n", 400),
        (b"GET /ok HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, 431),
    ],
    ids=["close", "1.0", "chunked", "garbage", "bad chunk", "head"],
)
def test_the_server_ends_its_side_and_drops_the_rest(start: bytes, status: int) -> None:
    """After an error, the client can send on and then read the whole response and its end."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        await connection.send(start)
        for _ in range(64):
            await connection.send(bytes(1 << 16))
        assert (await connection.answer())[0] == status
        assert await connection.reader.read() == b""
        # Only the server's side has ended.
        await connection.send(bytes(1 << 16))

    serve(scenario)


def test_a_client_that_sends_nothing_more_is_cut_off() -> None:
    """The server does not wait long for a client that neither sends nor closes."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        await connection.send(b"POST /refused HTTP/1.1\r\nConnection: close\r\nContent-Length: 9999\r\n\r\nx")
        assert (await connection.answer())[0] == 401
        # Only a write notices that the other side has gone. One that comes sooner extends the time.
        assert await is_cut_off(connection, b"x", 0.8)

    serve(scenario)


def test_a_client_that_sends_for_too_long_is_cut_off() -> None:
    """Neither endless drips nor endless data keep a connection."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        for more in (b"x", bytes(1 << 20)):
            connection = await connect()
            await connection.send(b"POST /refused HTTP/1.1\r\nConnection: close\r\nContent-Length: 999999999\r\n\r\nx")
            assert (await connection.answer())[0] == 401
            assert await is_cut_off(connection, more, 0.02)

    serve(scenario)


async def is_cut_off(connection: Connection, more: bytes, pause_s: float) -> bool:
    """Sends `more` until the server resets the connection."""
    try:
        while not connection.writer.is_closing():
            await connection.send(more)
            await asyncio.sleep(pause_s)
    except ConnectionError:
        pass
    return True


def test_dropped_data_takes_no_memory() -> None:
    """What arrives after the response is not kept."""

    async def scenario(_app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        await connection.send(b"POST /refused HTTP/1.1\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\nx")
        assert (await connection.answer())[0] == 401
        tracemalloc.start()
        try:
            piece = bytes(1 << 20)
            for _ in range(50):
                await connection.send(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10 << 20

    serve(scenario, LimitedHttpProtocol)
