"""Benchmark of one POST: CPU and rate of our own client, aiohttp, and httpx with aiohttp's transport.

Run:  python -m benchmarks.bench_sender [--posts 20000] [--concurrency 32]

The handler is a bare asyncio.Protocol in a separate process that answers 200 to each chunk it reads. CPU is that of
this process only (user + system, `time.process_time`). The handler's CPU does not count, but both share the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.resolver import HandlerResolver
from actors.ports import HttpRequest
from domain.handler_policy import HandlerPolicy, parse_networks

BODY = (
    b"id=msg_0190f3c0&event=evt_0190&type=click&timestamp=2026-01-01+12%3A00%3A00&time=1767268800&recipient=john%40example.com"
    b"&tags%5B%5D=news&tags%5B%5D=january&ip=203.0.113.7&useragent=Mozilla%2F5.0&original=https%3A%2F%2Fexample.com%2Foffer"
)
HEADERS = [
    ("User-Agent", "feedback-loops/0.1.0"),
    ("X-Feedback-Loop", "fl_" + "0" * 32),
    ("X-Account", "acc_" + "0" * 32),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("webhook-id", "evt_" + "0" * 32),
    ("webhook-timestamp", "1767268800"),
    ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 12:00:00 GMT\r\nServer: x\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 2\r\n\r\nok"
)

Post = Callable[[], Awaitable[None]]


class Handler(asyncio.Protocol):
    """Answers every chunk: a request is smaller than one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, _data: bytes) -> None:
        self.transport.write(ANSWER)


def serve(pipe: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Handler, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


async def rounds(name: str, post: Post, posts: int, concurrency: int) -> None:
    """Runs five rounds after a warm-up. Prints the median and the best CPU time per POST."""
    cpu_us, rates = [], []
    for number in range(6):
        left = iter(range(posts))

        async def work(left: object = left) -> None:
            for _ in left:  # type: ignore[attr-defined]
                await post()

        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        if number:
            cpu_us.append((time.process_time() - cpu) / posts * 1e6)
            rates.append(posts / (time.perf_counter() - wall))
    print(f"{name:24} {statistics.median(cpu_us):7.1f} us CPU (best {min(cpu_us):5.1f})  {max(rates):8,.0f} posts/s")


async def measure(url: str, posts: int, concurrency: int) -> None:
    resolver = HandlerResolver(HandlerPolicy(parse_networks("127.0.0.0/8")))
    own = PinnedHttpClient(resolver)
    request = HttpRequest(url, HEADERS, BODY, 15.0)

    async def own_post() -> None:
        assert (await own.post(request)).status == 200

    await rounds("our own client", own_post, posts, concurrency)
    await own.close()

    connector = aiohttp.TCPConnector(limit=concurrency, ttl_dns_cache=30)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        headers = dict(HEADERS)

        async def aiohttp_post() -> None:
            async with session.post(url, data=BODY, headers=headers, allow_redirects=False) as answer:
                await answer.read()

        await rounds("aiohttp", aiohttp_post, posts, concurrency)

    async with httpx.AsyncClient(transport=AiohttpTransport(), trust_env=False) as client:

        async def httpx_post() -> None:
            await client.post(url, content=BODY, headers=HEADERS)

        await rounds("httpx over aiohttp", httpx_post, posts // 4, concurrency)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--posts", type=int, default=20_000)
    arguments.add_argument("--concurrency", type=int, default=32)
    options = arguments.parse_args()
    here, there = multiprocessing.Pipe()
    handler = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    handler.start()
    uvloop.run(measure(f"http://127.0.0.1:{here.recv()}/dir/script.php", options.posts, options.concurrency))
    handler.terminate()


if __name__ == "__main__":
    main()
