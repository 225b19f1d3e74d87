"""A handler that costs next to nothing: takes POSTs, notes when each click's number arrived, answers 204.

    python -m benchmarks.sink --port 9000 [--file NAME=CONTENT …]

`GET /NAME` serves a verification file set by `PUT /NAME`; `GET /stats` gives counts; `POST /reset` forgets;
`GET /arrivals` gives the arrival time of each number (monotonic ns, 8 bytes each, 0 where it never came).
`POST /refuse` makes it answer 503 from then on, `POST /accept` ends that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from array import array

import uvloop

NUMBER = re.compile(rb"n(?:%3D|=)(\d+)")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class State:
    """What arrived."""

    def __init__(self) -> None:
        self.files: dict[bytes, bytes] = {}
        self.is_refusing = False
        self.reset()

    def reset(self) -> None:
        self.posts = 0
        self.unique = 0
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


class SinkProtocol(asyncio.Protocol):
    """Just enough HTTP/1.1."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

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
            if self.state.is_refusing:
                self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                return
            self.state.note(body)
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        self.control(method, path, body)

    def control(self, method: bytes, path: bytes, body: bytes) -> None:
        state, reply, status = self.state, b"", b"200 OK"
        if path == b"/reset":
            state.reset()
        elif path in {b"/refuse", b"/accept"}:
            state.is_refusing = path == b"/refuse"
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


async def serve(port: int) -> None:
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: SinkProtocol(state), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
