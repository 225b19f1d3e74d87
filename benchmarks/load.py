"""Load generator with very low CPU cost: sends a list of HTTP requests over kept-alive connections.

    python -m benchmarks.load --port 8080 --requests FILE --connections 64            # closed loop: as fast as it goes
    python -m benchmarks.load --port 8080 --requests FILE --connections 64 --rate 300 # open loop: on a fixed timetable

The file holds a MessagePack array with the bytes of each request. Prints one JSON object: answered, status counts,
first and last time (monotonic ns), and with `--times FILE` writes the time at which each request was due (open loop) or
sent (closed loop), 8 bytes each. With `--wait` it says `ready` first, and begins when it is given a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from array import array
from collections import Counter, deque
from pathlib import Path

import msgspec
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


def get(path: str) -> bytes:
    """A browser's request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {AGENT}\r\n\r\n".encode()


def post(path: str, key: str, content_type: str, body: bytes) -> bytes:
    """A call of the API."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Load:
    """One run, which sends each request once."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.times = array("q", bytes(8 * len(requests)))
        self.latencies = array("q", bytes(8 * len(requests)))
        self.status: Counter[str] = Counter()
        self.next = 0
        self.answered = 0
        self.idle: deque[LoadProtocol] = deque()
        self.overdue: deque[int] = deque()
        self.is_open_loop = False
        self.done = asyncio.Event()

    def take(self) -> int | None:
        if self.is_open_loop:
            return self.overdue.popleft() if self.overdue else None
        if self.next >= len(self.requests):
            return None
        self.next += 1
        self.times[self.next - 1] = time.monotonic_ns()
        return self.next - 1

    def due(self, number: int, due_ns: int) -> None:
        self.times[number] = due_ns
        if self.idle:
            self.idle.popleft().send(number)
        else:
            self.overdue.append(number)

    def finished(self, number: int, status: str) -> None:
        self.latencies[number] = time.monotonic_ns() - self.times[number]
        self.status[status] += 1
        self.answered += 1
        if self.answered == len(self.requests):
            self.done.set()


class LoadProtocol(asyncio.Protocol):
    """One connection with one request at a time. A broken connection fails the run, because an answer is missing."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.number: int | None = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.go_on()

    def go_on(self) -> None:
        number = self.load.take()
        if number is None:
            self.load.idle.append(self)
        else:
            self.send(number)

    def send(self, number: int) -> None:
        self.number = number
        self.transport.write(self.load.requests[number])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0 or self.number is None:
            return
        length = LENGTH.search(self.buffer, 0, head_end + 2)
        if len(self.buffer) - head_end - 4 < (int(length[1]) if length else 0):
            return
        status = self.buffer[9:12].decode()
        number, self.number, self.buffer = self.number, None, b""
        self.load.finished(number, status)
        self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.number is not None:
            self.load.finished(self.number, "broken")


async def run(arguments: argparse.Namespace) -> None:
    load = Load(msgspec.msgpack.decode(Path(arguments.requests).read_bytes(), type=list[bytes]))
    load.is_open_loop = arguments.rate > 0
    if arguments.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    loop = asyncio.get_running_loop()
    first_ns = time.monotonic_ns()
    for _ in range(arguments.connections):
        await loop.create_connection(lambda: LoadProtocol(load), "127.0.0.1", arguments.port)
    if load.is_open_loop:
        start_ns = first_ns = time.monotonic_ns()
        for number in range(len(load.requests)):
            due_ns = start_ns + int(number * 1e9 / arguments.rate)
            if (wait_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
                await asyncio.sleep(wait_s)
            load.due(number, due_ns)
    await asyncio.wait_for(load.done.wait(), arguments.timeout)
    last_ns = time.monotonic_ns()
    if arguments.times:
        Path(arguments.times).write_bytes(load.times.tobytes())
    ordered = sorted(load.latencies)
    result = {
        "answered": load.answered,
        "status": load.status,
        "first_ns": first_ns,
        "last_ns": last_ns,
        "answer_p50_ms": ordered[len(ordered) // 2] / 1e6,
        "answer_p95_ms": ordered[len(ordered) * 95 // 100] / 1e6,
        "answer_p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
        "cpu_s": time.process_time(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--times")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--timeout", type=float, default=120)
    uvloop.run(run(parser.parse_args()))
