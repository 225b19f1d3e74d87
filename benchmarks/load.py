"""Load generator with very low CPU cost: GETs a list of paths over kept-alive connections.

    python -m benchmarks.load --port 8080 --paths FILE --connections 64            # closed loop: as fast as it goes
    python -m benchmarks.load --port 8080 --paths FILE --connections 64 --rate 300 # open loop: on a fixed timetable

Prints one JSON object: answered, status counts, first and last time (monotonic ns), and with `--times FILE` writes the
time at which each path's request was due (open loop) or sent (closed loop), 8 bytes each. With `--wait` it says `ready`
first, and begins when it is given a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections import Counter, deque
from pathlib import Path

import uvloop

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


class Load:
    """One run over `paths`, which requests each path once."""

    def __init__(self, paths: list[str], host: str) -> None:
        self.requests = [f"GET {p} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\n\r\n".encode() for p in paths]
        self.times = array("q", bytes(8 * len(paths)))
        self.latencies = array("q", bytes(8 * len(paths)))
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
        if b"\r\n\r\n" in self.buffer and self.number is not None:
            status = self.buffer[9:12].decode()
            number, self.number, self.buffer = self.number, None, b""
            self.load.finished(number, status)
            self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.number is not None:
            self.load.finished(self.number, "broken")


async def run(arguments: argparse.Namespace) -> None:
    paths = Path(arguments.paths).read_text().split()
    load = Load(paths, f"127.0.0.1:{arguments.port}")
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
        for number in range(len(paths)):
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
        "answer_p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
        "cpu_s": time.process_time(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--paths", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--times")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--timeout", type=float, default=120)
    uvloop.run(run(parser.parse_args()))
