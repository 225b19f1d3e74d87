"""Handler with very low CPU cost: accepts POSTs, notes when each click's number arrived, and answers 204.

    python -m benchmarks.sink --port 9000 [--control-port 9001]

`GET /NAME` serves a verification file set by `PUT /NAME`. `GET /stats` returns counts, and `POST /reset` clears them.
`GET /arrivals` returns the arrival time of each number (monotonic ns, 8 bytes each, 0 if it never arrived).

These calls make it misbehave until `POST /accept`: `POST /refuse` (answers 503), `/fail` (500), `/babble` (bytes that
are not HTTP), `/hang` (no answer), `/break` (resets the connection), `/part` (accepts POSTs, and closes the connection
after each), `/decline` (answers 404 to the first POST of each number, and accepts the second), `/vanish` (closes the
port; needs `--control-port N`, which serves all calls except the hook).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import struct
import time
from array import array
from collections.abc import Callable
from typing import Final

import uvloop

NUMBER = re.compile(rb"n(?:%3D|=)(\d+)")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TAKEN: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
TAKEN_AND_CLOSED: Final = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
DECLINED: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
#: Answers that refuse a POST.
FAULTS: Final = {
    b"/refuse": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    b"/fail": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    b"/babble": b"\x00\xffnone of this is HTTP\r\n\r\n",
    b"/hang": b"",
}
BEHAVIOURS: Final = {*FAULTS, b"/accept", b"/break", b"/part", b"/decline", b"/vanish"}


class State:
    """The POSTs that arrived."""

    def __init__(self) -> None:
        self.files: dict[bytes, bytes] = {}
        self.behaviour = b"/accept"
        self.reset()

    def reset(self) -> None:
        self.posts = 0
        self.unique = 0
        self.declined: set[bytes] = set()
        self.last_ns = 0
        self.arrivals = array("q", bytes(8 * 1_000_000))

    def note(self, body: bytes) -> None:
        now = time.monotonic_ns()
        self.posts += 1
        self.last_ns = now
        if found := NUMBER.search(body):
            number = int(found[1])
            if self.arrivals[number] == 0:
                self.arrivals[number] = now
                self.unique += 1

    def declines(self, body: bytes) -> bool:
        """Whether this is the first POST of its number."""
        found = NUMBER.search(body)
        if found is None or found[1] in self.declined:
            return False
        self.declined.add(found[1])
        return True


class Door:
    """The handler's port. It can be closed, with all its connections, and opened again."""

    def __init__(self, host: str, port: int, make: Callable[[], asyncio.Protocol]) -> None:
        self._host = host
        self._port = port
        self._make = make
        self._server: asyncio.Server | None = None
        self.inside: set[asyncio.Transport] = set()

    def open(self) -> None:
        """Starts to accept connections."""
        if self._server is None:
            listening = socket.create_server((self._host, self._port), backlog=1024)
            self._opening = asyncio.get_running_loop().create_task(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._make, sock=listening)

    def close(self) -> None:
        """Stops, after sending pending answers."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self.inside):
            transport.close()


class SinkProtocol(asyncio.Protocol):
    """A minimal HTTP/1.1 server."""

    def __init__(self, state: State, door: Door | None, inside: set[asyncio.Transport] | None) -> None:
        self.state = state
        self.door = door
        self.inside = inside
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self.inside is not None:
            self.inside.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the reason does not matter
        if self.inside is not None:
            self.inside.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (head_end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:head_end]
            found = LENGTH.search(head)
            end = head_end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < end:
                return
            body = self.buffer[head_end + 4 : end]
            self.buffer = self.buffer[end:]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if method == b"POST" and path == b"/hook":
            self.take(body)
        else:
            self.control(method, path, body)

    def take(self, body: bytes) -> None:
        behaviour = self.state.behaviour
        if behaviour == b"/decline" and self.state.declines(body):
            self.transport.write(DECLINED)
        elif behaviour in {b"/accept", b"/decline"}:
            self.state.note(body)
            self.transport.write(TAKEN)
        elif behaviour == b"/part":
            self.state.note(body)
            self.transport.write(TAKEN_AND_CLOSED)
            self.transport.close()
        elif behaviour in FAULTS:
            self.transport.write(FAULTS[behaviour])
        else:  # broken, or vanished while this request was in flight
            self.reset()

    def reset(self) -> None:
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def control(self, method: bytes, path: bytes, body: bytes) -> None:
        state, reply, status = self.state, b"", b"200 OK"
        if path == b"/reset":
            state.reset()
        elif path in BEHAVIOURS:
            self.behave(path)
        elif path == b"/stats":
            reply = json.dumps({"posts": state.posts, "unique": state.unique, "last_ns": state.last_ns}).encode()
        elif path == b"/arrivals":
            reply = state.arrivals.tobytes()
        elif method == b"PUT":
            state.files[path] = body
        elif path in state.files:
            reply = state.files[path]
        else:
            status = b"404 Not Found"
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(reply), reply))

    def behave(self, behaviour: bytes) -> None:
        self.state.behaviour = behaviour
        if self.door is not None and behaviour == b"/vanish":
            self.door.close()
        elif self.door is not None:
            self.door.open()


async def serve(host: str, port: int, control_port: int | None) -> None:
    state = State()
    door = Door(host, port, lambda: SinkProtocol(state, None, door.inside))
    door.open()
    if control_port is not None:
        control = lambda: SinkProtocol(state, door, None)  # noqa: E731
        await asyncio.get_running_loop().create_server(control, host, control_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.host, arguments.port, arguments.control_port))
