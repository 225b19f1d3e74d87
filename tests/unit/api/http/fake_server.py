"""The configured server with short time limits, in front of a small application, and clients on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import uvicorn
import uvloop
from starlette.types import ASGIApp

from actors.settings import Networks
from api.http.connection_limits import HttpLimits, LimitedHttpProtocol
from api.main import server_config

HEAD_S, PAUSE_S, BODY_S = 0.4, 0.4, 1.0
#: Longer than any of the limits, shorter than uvicorn's keep-alive timeout.
LONGER_S = 1.5
GET = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


class FastProtocol(LimitedHttpProtocol):
    """The protocol with time limits short enough for a test."""

    limits: ClassVar[HttpLimits] = HttpLimits(
        head_s=HEAD_S, pause_s=PAUSE_S, body_s=BODY_S, linger_s=0.3, dropping_s=1.0, check_s=0.05
    )


class App:
    """Answers with the number of bytes of the body when its gate is open; records clients that disconnected."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.paths: list[str] = []
        self.went_away = asyncio.Event()
        #: The port of the server, once it runs.
        self.port = 0
        #: Begins the stop of the server.
        self.stop: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        if scope["path"] == "/refused":
            await self.answer(send, 401, b"no")
            return
        await self.gate.wait()
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.went_away.set()
                return
            size, more = size + len(message["body"]), message["more_body"]
        await self.answer(send, 200, b"%d" % size)

    async def answer(self, send: Any, status: int, body: bytes) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Connection:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def asked(self, data: bytes) -> tuple[int, bytes]:
        await self.send(data)
        return await self.answer()

    async def is_closed(self) -> bool:
        """Whether the server closes it without sending anything more, sooner than uvicorn's keep-alive timeout."""
        try:
            async with asyncio.timeout(5):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True


Scenario = Callable[[App, Callable[[], Awaitable[Connection]]], Awaitable[None]]


def serve(
    scenario: Scenario,
    protocol: type[LimitedHttpProtocol] = FastProtocol,
    asgi: ASGIApp | None = None,
    trusted_proxies: Networks = (),
) -> None:
    """Runs the scenario with the application, or another one, and a function that opens connections to it."""

    async def main() -> None:
        app = App()
        config = server_config(asgi or app, trusted_proxies)
        assert isinstance(config.http, type)
        assert issubclass(config.http, LimitedHttpProtocol)

        class Protocol(config.http):  # type: ignore[name-defined, misc]
            limits = protocol.limits
            budget = protocol.budget

        config.http, config.lifespan, config.port, config.backlog = Protocol, "off", 0, 64
        server = uvicorn.Server(config)
        app.stop = lambda: setattr(server, "should_exit", True)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = app.port = server.servers[0].sockets[0].getsockname()[1]
        made: list[Connection] = []

        async def connect() -> Connection:
            made.append(Connection(*await asyncio.open_connection("127.0.0.1", port)))
            return made[-1]

        try:
            async with asyncio.timeout(20):
                await scenario(app, connect)
        finally:
            for connection in made:
                connection.writer.close()
            server.should_exit = True
            await serving

    uvloop.run(main())
