"""Frames and connections: requests get their answers, and messages arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ipc import frames
from actors.ipc.connection import MAX_UNSENT_BYTES, Connection
from actors.ipc.frames import HEADER, FrameProtocol
from actors.ipc.handshake import ClientEnd
from actors.ipc.server import FrameServer
from domain.errors import FirstTaken, NotFound, StaleRoutes, StoreUnavailable, Unavailable

KEY = b"k" * 32


def connection_to(address: tuple[str, int], key: bytes = KEY) -> Connection:
    async def connect(protocol: Callable[[], FrameProtocol]) -> None:
        await asyncio.get_running_loop().create_connection(protocol, *address)

    return Connection("the test server", connect, lambda: key)


async def echo(kind: int, body: bytes) -> bytes:
    if kind == 99:
        raise NotFound("there is no such thing")
    return bytes([kind]) + body


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**63), st.binary(max_size=300))), st.data())
def test_frames_survive_any_division_of_the_stream(sent: list[tuple[int, int, bytes]], data: Any) -> None:
    """The same frames come out, however the stream is cut into pieces."""
    stream = b"".join(HEADER.pack(len(body), kind, request_id) + body for kind, request_id, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    got: list[tuple[int, int, bytes]] = []
    protocol = FrameProtocol(lambda *frame: got.append(frame), lambda: None)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        protocol.data_received(stream[start:end])

    assert got == sent


def test_requests_that_wait_for_a_connection_fail_when_it_is_closed() -> None:
    """Their tasks are not cancelled, so they can try again."""

    async def scenario() -> list[object]:
        began = asyncio.Event()

        async def connect(_protocol: Callable[[], FrameProtocol]) -> None:
            began.set()
            await asyncio.Event().wait()

        connection = Connection("the test server", connect, lambda: KEY)
        requests = [asyncio.create_task(connection.request(1, b"", 5)) for _ in range(3)]
        await began.wait()
        await connection.close()
        return list(await asyncio.gather(*requests, return_exceptions=True))

    assert [type(failure) for failure in asyncio.run(scenario())] == [Unavailable] * 3


def test_a_request_gets_its_answer_or_its_error() -> None:
    """Concurrent requests get their own answers; an error keeps its type."""

    async def scenario() -> None:
        server = FrameServer(echo, KEY)
        connection = connection_to(await server.listen_on("127.0.0.1"))
        answers = await asyncio.gather(*(connection.request(n, b"x" * n, 5) for n in range(50)))
        assert answers == [bytes([n]) + b"x" * n for n in range(50)]
        with pytest.raises(NotFound, match="no such thing"):
            await connection.request(99, b"", 5)
        await connection.close()
        await server.stop(0.1)

    asyncio.run(scenario())


def test_only_an_unexpected_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A log warns of a store that fails, and not of events that are enriched again because a loop was just changed."""
    errors = {1: StaleRoutes("routed with version 1", 2), 2: FirstTaken("m"), 3: StoreUnavailable("the disk is full")}

    async def failing(kind: int, _: bytes) -> bytes:
        raise errors[kind]

    async def scenario() -> None:
        server = FrameServer(failing, KEY)
        connection = connection_to(await server.listen_on("127.0.0.1"))
        for kind, error in errors.items():
            with pytest.raises(type(error)):
                await connection.request(kind, b"", 5)
        await connection.close()
        await server.stop(0.1)

    asyncio.run(scenario())
    assert [vars(record)["error"] for record in caplog.records] == ["StoreUnavailable: the disk is full"]


def test_messages_sent_without_a_connection_arrive_later() -> None:
    """They are kept up to a limit until the connection is open, and arrive in order."""
    received: list[bytes] = []
    arrived = asyncio.Event()

    async def keep(_kind: int, body: bytes) -> bytes:
        received.append(body)
        if len(received) == 2:
            arrived.set()
        return b""

    async def scenario() -> None:
        server = FrameServer(keep, KEY)
        connection = connection_to(await server.listen_on("127.0.0.1"))
        connection.send(1, b"first")
        connection.send(1, b"second")
        connection.send(1, b"x" * MAX_UNSENT_BYTES)
        async with asyncio.timeout(5):
            await arrived.wait()
        await connection.close()
        await server.stop(0.1)

    asyncio.run(scenario())
    assert received[:2] == [b"first", b"second"]


def test_an_oversized_frame_ends_the_connection() -> None:
    """The server does not wait for a body beyond the limit."""

    async def scenario() -> None:
        server = FrameServer(echo, KEY)
        address = await server.listen_on("127.0.0.1")
        lost = asyncio.Event()
        client = ClientEnd(KEY, lambda *_: None, lost.set)
        await asyncio.get_running_loop().create_connection(lambda: client, *address)
        await client.authenticated()
        assert client._transport is not None
        client._transport.write(frames.HEADER.pack(frames.MAX_BODY_BYTES + 1, 1, 1))
        async with asyncio.timeout(5):
            await lost.wait()
        await server.stop(0.1)

    asyncio.run(scenario())


def test_a_connection_lost_at_once_fails_the_request_that_waited_for_it() -> None:
    """The request fails at once and does not wait for an answer."""
    address = ("", 0)

    async def connect(protocol: Callable[[], FrameProtocol]) -> None:
        made = protocol()
        assert isinstance(made, ClientEnd)
        await asyncio.get_running_loop().create_connection(lambda: made, *address)
        await made.authenticated()
        assert made._transport is not None
        made._transport.abort()

    async def scenario() -> None:
        nonlocal address
        server = FrameServer(echo, KEY)
        address = await server.listen_on("127.0.0.1")
        connection = Connection("the test server", connect, lambda: KEY)
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable, match="went away"):
                await connection.request(1, b"", 60)
        await connection.close()
        await server.stop(0.1)

    asyncio.run(scenario())
