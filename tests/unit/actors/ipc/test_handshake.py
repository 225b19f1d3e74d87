"""Handshake: only a peer with the key gets anything done, on either end, and one without it costs next to nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actors.ipc import frames, server
from actors.ipc.connection import Connection
from actors.ipc.frames import HEADER, FrameProtocol
from actors.ipc.handshake import CHALLENGE, MAX_UNAUTHENTICATED_BYTES, PROOF, WELCOME, ClientEnd
from actors.ipc.server import FrameServer
from domain.errors import Unavailable

KEY = b"k" * 32
Scenario = Callable[[FrameServer, tuple[str, int]], Awaitable[None]]


def with_server(scenario: Scenario) -> list[tuple[int, bytes]]:
    """Runs the scenario with a frame server, and returns the requests that were carried out."""
    handled: list[tuple[int, bytes]] = []

    async def note(kind: int, body: bytes) -> bytes:
        handled.append((kind, body))
        return body

    async def run() -> None:
        serving = FrameServer(note, KEY)
        await scenario(serving, await serving.listen_on("127.0.0.1"))
        await serving.stop(0.1)

    asyncio.run(run())
    return handled


def connection_to(address: tuple[str, int], key: bytes = KEY) -> Connection:
    async def connect(protocol: Callable[[], FrameProtocol]) -> None:
        await asyncio.get_running_loop().create_connection(protocol, *address)

    return Connection("the test server", connect, lambda: key)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    length, kind, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
    return kind, await reader.readexactly(length)


def frame(kind: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), kind, 0) + body


async def is_ended(reader: asyncio.StreamReader) -> None:
    """Returns when the other end has closed the connection."""
    try:
        while await reader.read(4096):
            pass
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("key", [b"", b"w" * 32])
def test_without_the_key_no_request_runs(key: bytes) -> None:
    """A client with another key is disconnected before it has sent a request."""

    async def scenario(_server: FrameServer, address: tuple[str, int]) -> None:
        connection = connection_to(address, key)
        with pytest.raises(Unavailable):
            await connection.request(5, b"", 5)
        await connection.close()

    assert with_server(scenario) == []


def test_a_client_sends_nothing_to_a_server_without_the_key() -> None:
    """Whoever listens where an actor has been sees a proof, and neither the key nor a request."""
    seen: list[bytes] = []

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(CHALLENGE, b"n" * 16))
        kind, body = await read_frame(reader)
        writer.write(frame(WELCOME, b"x" * 32))
        seen.append(frame(kind, body) + await reader.read())
        writer.close()

    async def scenario() -> None:
        impostor = await asyncio.start_server(pretend, "127.0.0.1", 0)
        connection = connection_to(impostor.sockets[0].getsockname())
        connection.send(5, b"a secret message")
        with pytest.raises(Unavailable, match="cannot be reached"):
            await connection.request(5, b"a secret request", 5)
        await connection.close()
        impostor.close()

    asyncio.run(scenario())
    assert seen
    assert all(len(read) <= MAX_UNAUTHENTICATED_BYTES and KEY not in read and b"secret" not in read for read in seen)


def test_a_proof_is_worth_nothing_on_another_connection() -> None:
    """What one client has sent, sent again, opens nothing."""

    async def scenario(_server: FrameServer, address: tuple[str, int]) -> None:
        recorded = bytearray()
        client = ClientEnd(KEY, lambda *_: None, lambda: None)
        send = client.send

        def record(kind: int, request_id: int, body: bytes) -> None:
            recorded.extend(HEADER.pack(len(body), kind, request_id) + body)
            send(kind, request_id, body)

        client.send = record  # type: ignore[method-assign]
        await asyncio.get_running_loop().create_connection(lambda: client, *address)
        await client.authenticated()
        assert len(recorded) == HEADER.size + 48
        reader, writer = await asyncio.open_connection(*address)
        await read_frame(reader)
        writer.write(bytes(recorded) + frame(5, b"replayed"))
        async with asyncio.timeout(2):
            await is_ended(reader)
        writer.close()

    assert with_server(scenario) == []


def test_a_proof_cannot_be_passed_on_to_another_address() -> None:
    """A relay at another port cannot speak for the client, though both ends have the key."""

    async def scenario(_server: FrameServer, address: tuple[str, int]) -> None:
        async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(4096):
                writer.write(data)
            writer.close()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            to_reader, to_writer = await asyncio.open_connection(*address)
            await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer), return_exceptions=True)

        relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
        connection = connection_to(relaying.sockets[0].getsockname())
        with pytest.raises(Unavailable):
            await connection.request(5, b"", 5)
        await connection.close()
        relaying.close()

    assert with_server(scenario) == []


@pytest.mark.parametrize(
    "sent",
    [
        frames.HEADER.pack(MAX_UNAUTHENTICATED_BYTES - HEADER.size + 1, PROOF, 0),
        frames.HEADER.pack(frames.MAX_BODY_BYTES, PROOF, 0) + b"x" * 4096,
        frame(PROOF, b"short"),
        frame(WELCOME, b"x" * 32) + frame(5, b"") * 100,
    ],
    ids=["a body too long", "much of it", "no proof", "many frames"],
)
def test_the_first_frame_is_a_short_proof_or_the_end(sent: bytes) -> None:
    """The connection ends without waiting for more."""

    async def scenario(_server: FrameServer, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        async with asyncio.timeout(2):
            await is_ended(reader)
        writer.close()

    assert with_server(scenario) == []


@pytest.mark.parametrize("sent", [b"", frame(PROOF, b"x" * 48)[:-1]], ids=["idle", "half a proof"])
def test_a_silent_client_is_disconnected(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a limited time to prove that it has the key; a client that has proved it, any time."""
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.2)

    async def scenario(_server: FrameServer, address: tuple[str, int]) -> None:
        connection = connection_to(address)
        assert await connection.request(5, b"first", 5) == b"first"
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        began_s = time.monotonic()
        async with asyncio.timeout(5):
            await is_ended(reader)
        assert time.monotonic() - began_s > 0.15
        connecting = connection._connecting
        assert await connection.request(5, b"second", 5) == b"second"
        assert connection._connecting is connecting, "the connection was opened again"
        await connection.close()
        writer.close()

    with_server(scenario)


def test_many_strangers_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most `MAX_UNAUTHENTICATED` connections wait at a time, and a client with the key gets in all the same."""
    monkeypatch.setattr(server, "HANDSHAKE_S", 60.0)

    async def scenario(serving: FrameServer, address: tuple[str, int]) -> None:
        strangers: list[Any] = []
        for _ in range(server.MAX_UNAUTHENTICATED + 50):
            sock = socket.create_connection(address)
            sock.setblocking(False)
            strangers.append(sock)
            await asyncio.get_running_loop().sock_recv(sock, 64)  # accepted: it has its challenge
        assert len(serving._strangers) == server.MAX_UNAUTHENTICATED
        connection = connection_to(address)
        assert await connection.request(5, b"x", 2) == b"x"
        await connection.close()
        ended = [await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 64), 2) for sock in strangers[:50]]
        assert ended == [b""] * 50, "the oldest were ended"
        for sock in strangers:
            sock.close()

    assert with_server(scenario) == [(5, b"x")]
