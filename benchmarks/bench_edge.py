"""Benchmark of a tracking hit at the edge: token, hit, journal and answer, without the web server.

    python benchmarks/bench_edge.py [directory on the disk to measure]

Prints microseconds of CPU per hit for each step, and milliseconds until a hit is answered. The journal's CPU includes
the kernel's work for fsync. The disk's fsync determines the latency, so it is also measured separately.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import lmdb
import uvloop

from api.http.client_address import ClientAddresses
from api.journal.journal import Journal
from api.tracking.app import TrackingApp
from api.tracking.hits import HitEncoder
from domain.key_set import KeySet
from domain.tokens import TrackingTokens

TOKENS = TrackingTokens(KeySet.single(b"k" * 32))
TARGET = "https://www.example.com/shop/product/12345?utm_source=newsletter&utm_medium=email&utm_campaign=spring"
HEADERS = [
    (b"host", b"track.example.com"),
    (b"connection", b"keep-alive"),
    (b"sec-ch-ua", b'"Chromium";v="126", "Not.A/Brand";v="8"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"sec-ch-ua-platform", b'"Windows"'),
    (b"upgrade-insecure-requests", b"1"),
    (b"user-agent", b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (b"referer", b"https://mail.example.net/"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en-US,en;q=0.9"),
]


class Clock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class NoJournal:
    """A journal that drops all hits, to measure everything around it."""

    async def append(self, hit: bytes) -> None:
        pass


def scope(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": HEADERS, "client": ("203.0.113.9", 5)}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    pass


def cpu_us(name: str, count: int, work: Callable[[], object]) -> None:
    work()
    began = time.process_time()
    for _ in range(count):
        work()
    print(f"{name:<44} {(time.process_time() - began) / count * 1e6:8.2f} µs CPU")


async def answered(name: str, count: int, request: Callable[[], Awaitable[None]]) -> None:
    await request()
    began = time.process_time()
    for _ in range(count):
        await request()
    print(f"{name:<44} {(time.process_time() - began) / count * 1e6:8.2f} µs CPU")


async def at_once(name: str, clients: int, hits: int, request: Callable[[], Awaitable[None]]) -> None:
    latencies: list[float] = []

    async def client() -> None:
        for _ in range(hits // clients):
            began = time.perf_counter()
            await request()
            latencies.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - began
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(
        f"{name:<44} {cpu / hits * 1e6:8.2f} µs CPU   p50 {p50 * 1e3:6.2f} ms   p99 {p99 * 1e3:6.2f} ms"
        f"   {hits / elapsed:7.0f}/s"
    )


def raw_commits(directory: Path, count: int) -> None:
    env = lmdb.open(str(directory / "raw"), map_size=1 << 26)
    latencies = []
    for n in range(count):
        began = time.perf_counter()
        with env.begin(write=True) as txn:
            txn.put(n.to_bytes(8, "big"), b"x" * 300, append=True)
        latencies.append(time.perf_counter() - began)
    latencies.sort()
    print(f"{'one LMDB commit of one hit, alone':<44} {'':17}p50 {latencies[count // 2] * 1e3:6.2f} ms")
    env.close()


async def bench(directory: Path) -> None:
    opened, clicked = TOKENS.open(7, 1 << 52), TOKENS.click(7, 1 << 52, TARGET)
    hits = HitEncoder(Clock().now_ms, ClientAddresses([]))
    token = TOKENS.read("click", clicked)
    cpu_us("token of an open, read", 50_000, lambda: TOKENS.read("open", opened))
    cpu_us("token of a click, read", 50_000, lambda: TOKENS.read("click", clicked))
    cpu_us("hit made and encoded", 50_000, lambda: hits.encode(token, "203.0.113.9", HEADERS))

    bare = TrackingApp(TOKENS, NoJournal(), [], Clock())
    await answered("open answered, without journal", 50_000, lambda: bare(scope("/o/" + opened), receive, send))
    await answered("click answered, without journal", 50_000, lambda: bare(scope("/c/" + clicked), receive, send))

    raw_commits(directory, 300)
    journal = Journal.open(directory / "journal", 1 << 28)
    hit = hits.encode(token, "203.0.113.9", HEADERS)
    for clients in (1, 10, 100):
        await at_once(f"journal, {clients} at once", clients, 200 * clients, lambda: journal.append(hit))
    app = TrackingApp(TOKENS, journal, [], Clock())
    for clients in (1, 100):
        name = f"click, whole, {clients} at once"
        await at_once(name, clients, 200 * clients, lambda: app(scope("/c/" + clicked), receive, send))
    await journal.close()


def main() -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        uvloop.run(bench(Path(directory)))


if __name__ == "__main__":
    main()
