"""The answering end of frames."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from actors.ipc import frames
from domain.errors import DomainError, FeedbackLoopsError, Overloaded, Unavailable

log = logging.getLogger(__name__)

#: Requests that one client may have under way.
MAX_UNDER_WAY: Final = 512

Answer = Callable[[int, bytes], Awaitable[bytes]]


class FrameServer:
    """Answers each request when its work is done, in whatever order that is.

    Args:
        answer: carries out a request of a kind with a body, and gives the answer's body. Errors of `domain.errors`
            reach the client as they are; any other is logged, and is `Unavailable` to the client.
        token: what clients must say first; None where file permissions guard the socket.
    """

    def __init__(self, answer: Answer, token: bytes | None = None) -> None:
        self._answer = answer
        self._token = token
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[frames.FrameProtocol] = set()

    async def listen_at(self, path: Path) -> None:
        """Listens on a Unix socket, open to its owner alone."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(self._connection, path)
        await asyncio.to_thread(path.chmod, 0o600)

    async def listen_on(self, host: str) -> tuple[str, int]:
        """Listens on a free TCP port of `host`, and gives both."""
        self._server = await asyncio.get_running_loop().create_server(self._connection, host, 0)
        return host, self._server.sockets[0].getsockname()[1]

    async def stop(self, drain_s: float) -> None:
        """Takes no more connections, waits up to `drain_s` for what is under way, and ends all connections."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for connection in list(self._connections):
            connection.close()

    def _connection(self) -> frames.FrameProtocol:
        protocol = _Connection(self._answer, self._token, self._tasks, self._connections).protocol
        self._connections.add(protocol)
        return protocol


class _Connection:
    """One client."""

    def __init__(
        self,
        answer: Answer,
        token: bytes | None,
        tasks: set[asyncio.Task[None]],
        connections: set[frames.FrameProtocol],
    ) -> None:
        self.protocol = frames.FrameProtocol(self._on_frame, lambda: connections.discard(self.protocol))
        self._answer = answer
        self._token = token
        self._tasks = tasks
        self._under_way = 0

    def _on_frame(self, kind: int, request_id: int, body: bytes) -> None:
        if self._token is not None:
            if kind != frames.HELLO or not hmac.compare_digest(body, self._token):
                self.protocol.close()
                return
            self._token = None
        elif self._under_way >= MAX_UNDER_WAY:
            self._reply(request_id, frames.ERROR, frames.error_body(Overloaded("too many requests under way")))
        else:
            self._under_way += 1
            task = asyncio.create_task(self._carry_out(kind, request_id, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, kind: int, request_id: int, body: bytes) -> None:
        try:
            answer = await self._answer(kind, body)
        except FeedbackLoopsError as exc:
            if not isinstance(exc, DomainError | Unavailable):  # whoever found another process away has logged it
                facts = {"action": "request_failed", "kind": kind, "error": f"{type(exc).__name__}: {exc}"}
                log.warning("a request failed", extra=facts)
            self._reply(request_id, frames.ERROR, frames.error_body(exc))
        except Exception:
            log.exception(
                "a request failed in a way nobody thought of", extra={"action": "request_failed", "kind": kind}
            )
            error = Unavailable("something went wrong inside the service; its log says what", True)
            self._reply(request_id, frames.ERROR, frames.error_body(error))
        else:
            self._reply(request_id, frames.OK, answer)
        finally:
            self._under_way -= 1

    def _reply(self, request_id: int, kind: int, body: bytes) -> None:
        if request_id:
            self.protocol.send(kind, request_id, body)
