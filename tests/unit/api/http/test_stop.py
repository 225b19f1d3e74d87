"""Connections at a stop of the configured server, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from api.http.connection_limits import HttpLimits
from tests.unit.api.http.fake_server import GET, App, Connection, FastProtocol, serve

Connect = Callable[[], Awaitable[Connection]]


class PatientProtocol(FastProtocol):
    """The protocol with time for the last requests even on a busy machine."""

    limits: ClassVar[HttpLimits] = HttpLimits(last_request_s=0.9)


async def stop_listening(app: App, connect: Connect) -> None:
    """Begins the stop and returns when the server accepts no connection any more."""
    app.stop()
    while True:
        try:
            await connect()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it was waiting to be accepted when the socket was closed
            pass
        await asyncio.sleep(0)


def test_a_request_on_its_way_is_answered() -> None:
    """On a connection that was accepted just before the stop, and on one that was idle; then the server closes both."""

    async def scenario(app: App, connect: Connect) -> None:
        new, used = await connect(), await connect()
        assert (await used.asked(GET))[0] == 200
        await stop_listening(app, connect)

        for connection in (new, used):
            await connection.send(GET)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in head.lower()
            assert await connection.reader.readexactly(1) == b"0"
            assert await connection.is_closed()

    serve(scenario, PatientProtocol)


def test_an_idle_connection_does_not_delay_the_stop() -> None:
    """It ends after a moment."""

    async def scenario(app: App, connect: Connect) -> None:
        idle = await connect()
        await stop_listening(app, connect)

        async with asyncio.timeout(1):
            assert await idle.is_closed()

    serve(scenario)
