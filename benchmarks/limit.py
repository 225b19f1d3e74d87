"""Upper limit for comparison: one process that answers a click, POSTs it and stores nothing.

    python -m benchmarks.limit --port 8081 --handler http://127.0.0.1:9000/hook

Uses Starlette on uvicorn (uvloop, httptools) and aiohttp. It has no token, journal, ledger, enrichment, signature or
retry: if it dies, the clicks in its memory are lost. The service does all of that in addition.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

WORKERS = 16


def create_app(handler: str) -> Starlette:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def click(request: Request) -> Response:
        target = request.query_params["url"]
        fields = {
            "type": "click",
            "original": target,
            "ip": request.client.host if request.client else "",
            "useragent": request.headers.get("user-agent", ""),
        }
        queue.put_nowait(urlencode(fields).encode())
        return RedirectResponse(target, 302)

    async def post_forever(session: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        while True:
            body = await queue.get()
            async with session.post(handler, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(post_forever(session)) for _ in range(WORKERS)]
            yield
            for task in tasks:
                task.cancel()

    return Starlette(routes=[Route("/c", click)], lifespan=lifespan)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handler", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(arguments.handler),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
