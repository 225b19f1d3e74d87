"""Client connection for frames: opened on first use, and opened again after it was lost."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from actors.ipc import frames
from actors.ipc.handshake import ClientEnd
from domain.errors import FeedbackLoopsError, Unavailable

#: How long a request waits for a process that is being restarted.
PATIENCE_S: Final = 2.0
RECONNECT_S: Final = 0.05
#: Messages to a process that does not accept them are kept up to this size, and dropped beyond it.
MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024

#: Opens a connection for the given protocol. Raises OSError or an error of `domain.errors`.
Connect = Callable[[Callable[[], frames.FrameProtocol]], Awaitable[None]]


class Connection:
    """A connection to another process, with any number of requests in flight.

    Args:
        name: of the other process, for messages to people.
        connect: opens a connection; called again after each loss, so it may lead elsewhere.
        read_key: the key that the two processes share (`actors.ipc.handshake`); called for each connection. May raise
            OSError.
    """

    def __init__(self, name: str, connect: Connect, read_key: Callable[[], bytes]) -> None:
        self._name = name
        self._connect = connect
        self._read_key = read_key
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._protocol: frames.FrameProtocol | None = None
        self._connecting: asyncio.Task[frames.FrameProtocol] | None = None
        #: Messages that wait for the connection.
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._unsent_bytes = 0
        self._is_closed = False

    async def request(self, kind: int, body: bytes, timeout_s: float) -> bytes:
        """Sends a request and returns the body of its answer.

        Raises:
            FeedbackLoopsError: the other end's; or `Unavailable`, which says whether the request may have run.
        """
        try:
            protocol = self._protocol
            if protocol is None:
                async with asyncio.timeout(PATIENCE_S):
                    protocol = await self._connected()
        except TimeoutError:
            raise Unavailable(f"{self._name} cannot be reached; it is being restarted, so try again shortly") from None
        if not protocol.is_open:  # lost while this task waited for its turn: no answer would ever come
            raise Unavailable(f"{self._name} went away")
        request_id = next(self._ids)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            async with asyncio.timeout(timeout_s):
                protocol.send(kind, request_id, body)
                await protocol.drained()
                return await answer
        except TimeoutError:
            raise Unavailable(f"no answer from {self._name} within {timeout_s:.0f} s", True) from None
        finally:
            self._waiting.pop(request_id, None)

    def send(self, kind: int, body: bytes) -> None:
        """Sends a message that gets no answer. Never blocks; drops the message if too much is unsent."""
        if self._protocol is not None:
            if self._protocol.unsent_bytes < MAX_UNSENT_BYTES:
                self._protocol.send(kind, 0, body)
        elif self._unsent_bytes < MAX_UNSENT_BYTES:
            self._unsent.append((kind, body))
            self._unsent_bytes += len(body)
            self._start_connecting()

    async def close(self) -> None:
        """Closes the connection; requests in flight fail with `Unavailable`."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._protocol is not None:
            self._protocol.close()
        self._lost()

    async def _connected(self) -> frames.FrameProtocol:
        connecting = self._start_connecting()
        # Not `shield`: another user's `close` cancels the task, which must not look as if this one were cancelled.
        await asyncio.wait({connecting})
        if connecting.cancelled():
            raise Unavailable(f"the connection to {self._name} is closed")
        return connecting.result()

    def _start_connecting(self) -> asyncio.Task[frames.FrameProtocol]:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._keep_connecting(), name=f"connect to {self._name}")
        return self._connecting

    async def _keep_connecting(self) -> frames.FrameProtocol:
        while not self._is_closed:
            try:
                protocol = ClientEnd(self._read_key(), self._on_frame, self._lost)
                await self._connect(partial(_same, protocol))
                await protocol.authenticated()
            except (OSError, FeedbackLoopsError):
                await asyncio.sleep(RECONNECT_S)
                continue
            self._protocol = protocol
            self._send_unsent(protocol)
            return protocol
        raise Unavailable(f"the connection to {self._name} is closed")

    def _send_unsent(self, protocol: frames.FrameProtocol) -> None:
        for kind, body in self._unsent:
            protocol.send(kind, 0, body)
        self._unsent.clear()
        self._unsent_bytes = 0

    def _on_frame(self, kind: int, request_id: int, body: bytes) -> None:
        waiting = self._waiting.get(request_id)
        if waiting is None or waiting.done():
            return
        if kind == frames.OK:
            waiting.set_result(body)
        else:
            waiting.set_exception(frames.read_error(body))

    def _lost(self) -> None:
        self._protocol = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable(f"{self._name} went away", True))


def _same(protocol: frames.FrameProtocol) -> frames.FrameProtocol:
    return protocol
