"""What changes on a page by itself, as server-sent events: a part is sent when it is not what was sent before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from actors.commands import FindSession
from api.dashboard.page import Visit
from domain.errors import DomainError, FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds between two looks.
POLL_S: Final = 1.0
#: Looks between two at the session: who was signed out sees no more, at the latest after so many.
_SESSION_EVERY: Final = 15
#: Looks of silence after which a comment is sent, so that proxies keep the connection and a dead one is noticed.
_HEARTBEAT_EVERY: Final = 15
_HELLO: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": nothing new\n\n"

Parts = Callable[[], AsyncIterator[bytes]]


def message(name: str, content: bytes) -> bytes:
    """One event (HTML Living Standard, 9.2) of possibly many lines."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"event: " + name.encode() + b"\n" + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


async def live(visit: Visit, parts: Parts) -> AsyncIterator[bytes]:
    """The stream, for as long as somebody reads it and is signed in. `parts` gives all messages, in the same order."""
    sent: list[bytes] = []
    looks = silent = 0
    visit.services.streams.change(1)
    try:
        yield _HELLO
        while True:
            try:
                if looks % _SESSION_EVERY == 0 and not await visit.call(FindSession(token_hash=visit.token_hash)):
                    return
                now = [part async for part in parts()]
            except DomainError:  # it was deleted
                return
            except FeedbackLoopsError as exc:
                log.info("a live page waits", extra={"action": "live_page_waits", "problem": str(exc)})
                now = sent
            news = b"".join(part for n, part in enumerate(now) if n >= len(sent) or part != sent[n])
            sent = now
            looks += 1
            silent = 0 if news else silent + 1
            if news or silent % _HEARTBEAT_EVERY == 0:
                yield news or _HEARTBEAT
            await asyncio.sleep(POLL_S)
    finally:
        visit.services.streams.change(-1)
