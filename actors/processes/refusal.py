"""Responder on an inherited socket when `serve` cannot start: answers 503 to every request for some seconds.

The owner of the socket keeps it open. Without an answer, clients would wait in its queue until a start that works.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Final

#: Seconds for a client to send the head of its request, and to read the answer.
_CLIENT_S: Final = 1.0
_HEAD_BYTES: Final = 64 * 1024


def refuse_requests(listening: socket.socket, reason: str, for_s: float) -> None:
    """Answers 503 with the reason, one sentence for anyone, and returns after `for_s` seconds.

    It closes only this process's descriptor of the socket.
    """
    with suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(_serve(listening, _response(reason)), for_s))


async def _serve(listening: socket.socket, response: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_CLIENT_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(response)
                await writer.drain()
                writer.write_eof()
                # Closing with unread bytes would reset the connection, and the client might not see the answer.
                while await reader.read(_HEAD_BYTES):
                    pass
        writer.close()

    listening.setblocking(False)
    async with await asyncio.start_server(answer, sock=listening, limit=_HEAD_BYTES) as server:
        await server.serve_forever()


def _response(reason: str) -> bytes:
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": reason}
    body = json.dumps(problem).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
