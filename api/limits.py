"""How much of a request is taken in."""

from __future__ import annotations

from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.problems import MALFORMED, TOO_LARGE, Refused

MAX_BODY_BYTES: Final = 16 * 1024 * 1024


async def read_body(content_length: str | None, receive: Receive, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The whole body; never holds more than `max_bytes` and one chunk, whatever the client announced.

    Raises:
        Refused: 413, it is larger; 400, the announced length is no number.
        ClientDisconnect: the client went away.
    """
    if content_length is not None and _announced(content_length) > max_bytes:
        raise _too_large(max_bytes)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        if (size := size + len(chunk)) > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _announced(content_length: str) -> int:
    # At most 19 digits: int() of a longer text takes time that grows with its square.
    if not (content_length.isascii() and content_length.isdigit() and len(content_length) < 20):
        raise Refused(MALFORMED, "Content-Length is not a number of bytes")
    return int(content_length)


def _too_large(max_bytes: int) -> Refused:
    return Refused(TOO_LARGE, f"the body is larger than {max_bytes} bytes; split the request into several")
