"""Live parts of a page as server-sent events: a part is sent when it differs from what was sent before.

Reading the values is cheap, rendering is not, and the same process answers hits. So unchanged values are not rendered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.datastructures import Headers

from actors.commands.users import FindSession
from api.dashboard.request import Visit
from api.events.sse import EVENT_STREAM, AccessCheck
from api.http.response import Response
from domain.errors import DomainError, FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds between two reads.
POLL_S: Final = 1.0
#: Reads without news before a comment is sent, so that proxies keep the connection and a dead one is noticed.
_HEARTBEAT_EVERY: Final = 15
_HELLO: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": nothing new\n\n"
#: The last event of a stream that the client must not reopen. Its data is one of these: the content was deleted, or
#: the session has ended.
END: Final = "end"
GONE: Final = b"gone"
SIGNED_OUT: Final = b"signed-out"

#: The values that a page shows now; they can be compared.
Look = Callable[[], Awaitable[Mapping[str, Any]]]
#: All messages for these values, always in the same order.
Render = Callable[[Mapping[str, Any]], list[bytes]]


def message(name: str, content: bytes) -> bytes:
    """One event (HTML Living Standard, 9.2); its content may have several lines."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"event: " + name.encode() + b"\n" + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


def is_wanted(headers: Headers) -> bool:
    """Whether the request comes from an `EventSource`."""
    return headers.get("accept") == EVENT_STREAM


def ended(why: bytes) -> Response:
    """The response for a stream that ends before it starts.

    A page cannot see the status of a refused stream and would retry for ever, but it can read an event.
    """
    return Response(body=_HELLO + message(END, why), content_type=EVENT_STREAM)


def live(visit: Visit, look: Look, render: Render) -> Response:
    """The response with the stream, while the client reads it and stays signed in.

    The stream's last event gives the reason for its end.

    Raises:
        Overloaded: too many streams are open.
    """
    on_end = visit.services.streams.take(visit.account.no)
    return Response(content_type=EVENT_STREAM, stream=_parts(visit, look, render), on_end=on_end)


async def _parts(visit: Visit, look: Look, render: Render) -> AsyncIterator[bytes]:
    access = AccessCheck(lambda: visit.call(FindSession(token_hash=visit.token_hash)))
    seen: Mapping[str, Any] | None = None
    sent: list[bytes] = []
    silent = 0
    yield _HELLO
    while True:
        try:
            if await access.is_over():
                yield message(END, SIGNED_OUT)
                return
            found = await look()
        except DomainError:  # it was deleted
            yield message(END, GONE)
            return
        except FeedbackLoopsError as exc:
            log.info("a live page waits", extra={"action": "live_page_waits", "problem": str(exc)})
            found = seen or {}
        now = render(found) if found != seen and found else sent
        seen = found
        news = b"".join(part for n, part in enumerate(now) if n >= len(sent) or part != sent[n])
        sent = now
        silent = 0 if news else silent + 1
        if news or silent % _HEARTBEAT_EVERY == 0:
            yield news or _HEARTBEAT
        await asyncio.sleep(POLL_S)
