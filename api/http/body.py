"""Request bodies: size limits, and parsing off the event loop.

Parsing JSON takes up to 10 ns per byte and 1 µs per value. Tracking hits must not wait for that: long bodies are parsed
in a thread, and bodies that would keep even a thread busy for long are rejected before parsing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.http.problem_types import MALFORMED, TOO_LARGE
from api.http.problems import ProblemError

KIB: Final = 1024
MIB: Final = 1024 * KIB
#: Limit for most bodies.
SMALL_BODY_BYTES: Final = 256 * KIB
#: Opening brackets and commas in a JSON text, including those in strings; HTML with style sheets has many.
MAX_JSON_TOKENS: Final = 20_000
MAX_MESSAGE_TOKENS: Final = 200_000
#: Longer bodies are parsed in a thread.
_LONG_BYTES: Final = 64 * KIB

P = ParamSpec("P")
T = TypeVar("T")

#: A single thread, so that many bodies delay the event loop no longer than one.
_reader = ThreadPoolExecutor(1, thread_name_prefix="long-bodies")


async def run_in_thread_if_long(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `work`: in a thread if `size`, in bytes, is large, otherwise directly."""
    if size <= _LONG_BYTES:
        return work(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_reader, lambda: work(*args, **kwargs))


def size_text(size: int) -> str:
    """`16 MiB`, `256 KiB`."""
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size // KIB} KiB"


def check_json_tokens(body: bytes, most: int = MAX_JSON_TOKENS) -> None:
    """Bounds the parsing time by counting the characters that precede every value except the first.

    Raises:
        ProblemError: 413, there are more than `most` opening brackets and commas.
    """
    if len(body) > most and sum(map(body.count, (b"{", b"[", b","))) > most:
        raise ProblemError(TOO_LARGE, f"the JSON has over {most} opening brackets and commas; split the request")


async def read_body(content_length: str | None, receive: Receive, max_bytes: int) -> bytes:
    """The whole body; never holds more than `max_bytes` and one chunk, whatever Content-Length says.

    Raises:
        ProblemError: 413, it is larger; 400, Content-Length is not a number.
        ClientDisconnect: the client went away.
    """
    if content_length is not None and _parsed_length(content_length) > max_bytes:
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


def _parsed_length(content_length: str) -> int:
    # At most 19 digits: int() takes quadratic time.
    if not (content_length.isascii() and content_length.isdigit() and len(content_length) < 20):
        raise ProblemError(MALFORMED, "Content-Length is not a number of bytes")
    return int(content_length)


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(
        TOO_LARGE, f"the body is larger than {size_text(max_bytes)} ({max_bytes} bytes), the limit here"
    )
