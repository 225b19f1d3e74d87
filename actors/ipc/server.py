"""Server for frames: answers each request when its work is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from actors.ipc import frames
from actors.ipc.handshake import ServerEnd
from domain.errors import DomainError, FeedbackLoopsError, FirstTaken, Overloaded, StaleRoutes, Unavailable

#: `Unavailable` was logged where it occurred; after the last two, the enricher does its work again.
_UNREMARKABLE: Final = (DomainError, Unavailable, StaleRoutes, FirstTaken)

log = logging.getLogger(__name__)

#: Requests that one client may have in flight.
MAX_IN_FLIGHT: Final = 512
#: How long a client may take to prove that it has the key.
HANDSHAKE_S: Final = 5.0
#: Clients that may be about to do so. One more ends the oldest: it has had the most time, and a client with the key
#: needs milliseconds, so those without cannot keep it out. Above the number of clients that are accepted at a time.
MAX_UNAUTHENTICATED: Final = 128

#: Carries out a request, given its kind and body, and returns the body of the answer.
Handler = Callable[[int, bytes], Awaitable[bytes]]


class FrameServer:
    """Answers requests in whatever order their work is done.

    Args:
        handler: its errors of `domain.errors` reach the client unchanged; others are logged, and the client gets
            `Unavailable`.
        key: what clients must prove to have.
    """

    def __init__(self, handler: Handler, key: bytes) -> None:
        self._handler = handler
        self._key = key
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[frames.FrameProtocol] = set()
        #: Clients that have not proved anything yet, the oldest first, with what ends them.
        self._strangers: dict[ServerEnd, asyncio.TimerHandle] = {}

    async def listen_at(self, path: Path) -> None:
        """Listens on a Unix socket that only its owner can open."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(self._accept, path)
        await asyncio.to_thread(path.chmod, 0o600)

    async def listen_on(self, host: str) -> tuple[str, int]:
        """Listens on a free TCP port of `host`, and returns both."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, host, 0)
        return host, self._server.sockets[0].getsockname()[1]

    async def stop(self, drain_s: float) -> None:
        """Stops accepting connections, waits up to `drain_s` for requests in flight, and closes all connections."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for client in list(self._clients):
            client.close()
        for stranger in list(self._strangers):
            stranger.abort()

    def _accept(self) -> frames.FrameProtocol:
        client = _Client(self._handler, self._tasks)
        end = ServerEnd(self._key, client.on_frame, lambda: self._forget(end), lambda: self._welcome(end))
        client.protocol = end
        if len(self._strangers) >= MAX_UNAUTHENTICATED:
            oldest = next(iter(self._strangers))
            self._forget(oldest)
            oldest.abort()
        self._strangers[end] = asyncio.get_running_loop().call_later(HANDSHAKE_S, end.abort)
        return end

    def _welcome(self, client: ServerEnd) -> None:
        self._forget(client)
        self._clients.add(client)

    def _forget(self, client: ServerEnd) -> None:
        self._clients.discard(client)
        if (timer := self._strangers.pop(client, None)) is not None:
            timer.cancel()


class Listener:
    """An actor's frame server on TCP, opened when its address is first asked for."""

    def __init__(self, handler: Handler, key: bytes, host: str) -> None:
        self._server = FrameServer(handler, key)
        self._host = host
        self._address: asyncio.Task[tuple[str, int]] | None = None

    async def address(self) -> tuple[str, int]:
        """Host and port."""
        if self._address is None:
            self._address = asyncio.create_task(self._server.listen_on(self._host))
        return await asyncio.shield(self._address)


class _Client:
    """The requests of one client."""

    protocol: frames.FrameProtocol

    def __init__(self, handler: Handler, tasks: set[asyncio.Task[None]]) -> None:
        self._handler = handler
        self._tasks = tasks
        self._in_flight = 0

    def on_frame(self, kind: int, request_id: int, body: bytes) -> None:
        if self._in_flight >= MAX_IN_FLIGHT:
            self._reply(request_id, frames.ERROR, frames.error_body(Overloaded("too many requests in flight")))
        else:
            self._in_flight += 1
            task = asyncio.create_task(self._carry_out(kind, request_id, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, kind: int, request_id: int, body: bytes) -> None:
        try:
            answer = await self._handler(kind, body)
        except FeedbackLoopsError as exc:
            if not isinstance(exc, _UNREMARKABLE):
                facts = {"action": "request_failed", "kind": kind, "error": f"{type(exc).__name__}: {exc}"}
                log.warning("request failed", extra=facts)
            self._reply(request_id, frames.ERROR, frames.error_body(exc))
        except Exception:
            log.exception("unhandled error in request", extra={"action": "request_failed", "kind": kind})
            error = Unavailable("something went wrong inside the service; see its log", True)
            self._reply(request_id, frames.ERROR, frames.error_body(error))
        else:
            self._reply(request_id, frames.OK, answer)
        finally:
            self._in_flight -= 1

    def _reply(self, request_id: int, kind: int, body: bytes) -> None:
        if request_id:
            self.protocol.send(kind, request_id, body)
