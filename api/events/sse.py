"""Stream of new events as server-sent events (HTML Living Standard, section 9.2)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from actors.commands.events import EventView
from api.events.tail import EventTail
from api.http.response import json_bytes
from api.schemas.views import event_view
from domain.errors import FeedbackLoopsError, Overloaded, StoreError, Unavailable

log = logging.getLogger(__name__)

EVENT_STREAM: Final = "text/event-stream"
#: Seconds between polls of the ledger while there is nothing new.
POLL_S: Final = 0.5
#: Seconds between checks for events recorded late.
LOOK_BACK_S: Final = 2.0
#: Seconds of silence after which a comment is sent, so that proxies keep the connection and a dead one is noticed.
HEARTBEAT_S: Final = 15.0
#: Concurrent streams per process: each polls the ledger `1 / POLL_S` times a second.
MAX_STREAMS: Final = 100
#: Concurrent streams per account, so that none locks out the others.
MAX_OF_ACCOUNT: Final = 10
_HELLO: Final = b": events follow as they are recorded\nretry: 1000\n\n"
_HEARTBEAT: Final = b": nothing new\n\n"


class StreamLimiter:
    """Limits the open streams of the process and of each account."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    def check(self, account_no: int) -> None:
        """Raises `Overloaded` if the account cannot open another stream."""
        if self._open[account_no] >= MAX_OF_ACCOUNT:
            raise Overloaded(f"{MAX_OF_ACCOUNT} streams of this account are open; close one, or try again", 10.0)
        if self._open.total() >= MAX_STREAMS:
            raise Overloaded(f"{MAX_STREAMS} streams are open, which is the limit; try again", 10.0)

    @contextmanager
    def counted(self, account_no: int) -> Iterator[None]:
        """Counts a stream of the account while the context is open."""
        self._open[account_no] += 1
        try:
            yield
        finally:
            self._open[account_no] -= 1
            if not self._open[account_no]:
                del self._open[account_no]


async def event_stream(tail: EventTail, counted: AbstractContextManager[None]) -> AsyncIterator[bytes]:
    """The text of the stream, until the client disconnects. Waits while the ledger is unavailable."""
    loop = asyncio.get_running_loop()
    with counted:
        yield _HELLO
        spoke_s = looked_back_s = loop.time()
        while True:
            try:
                events, is_more = await tail.read()
            except (StoreError, Unavailable, Overloaded):
                events, is_more = [], False
            except FeedbackLoopsError as exc:
                log.warning("event stream ended with an error", extra={"action": "stream_ended", "problem": str(exc)})
                return
            now_s = loop.time()
            if events:
                yield b"".join(map(_block, events))
                spoke_s = now_s
            elif now_s - spoke_s >= HEARTBEAT_S:
                yield _HEARTBEAT
                spoke_s = now_s
            if is_more:
                continue
            if now_s - looked_back_s >= LOOK_BACK_S:
                tail.look_back()
                looked_back_s = now_s
            await asyncio.sleep(POLL_S)


def _block(event: EventView) -> bytes:
    """One event. Its JSON has no line break, so `data` is one line."""
    return f"id: {event.id}\nevent: {event.type}\ndata: ".encode() + json_bytes(event_view(event)) + b"\n\n"
