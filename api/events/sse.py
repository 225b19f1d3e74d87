"""Stream of new events as server-sent events (HTML Living Standard, section 9.2)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

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
#: Seconds between two checks of the caller's key or session: a stream ends this soon after its key was revoked.
ACCESS_CHECK_S: Final = 2.0
_HELLO: Final = b": events follow as they are recorded\nretry: 1000\n\n"
_HEARTBEAT: Final = b": nothing new\n\n"
_END: Final = b'event: end\ndata: {"detail":"the API key was revoked"}\n\n'


class StreamLimiter:
    """Limits the open streams of the process and of each account."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    def take(self, account_no: int) -> Callable[[], None]:
        """Takes the place of one stream. Returns the function that gives it back, which may be called only once.

        A place is checked and taken in one step, so streams that are opened at the same moment obey the limit.

        Raises:
            Overloaded: the account cannot open another stream.
        """
        if self._open[account_no] >= MAX_OF_ACCOUNT:
            raise Overloaded(f"{MAX_OF_ACCOUNT} streams of this account are open; close one, or try again", 10.0)
        if self._open.total() >= MAX_STREAMS:
            raise Overloaded(f"{MAX_STREAMS} streams are open, which is the limit; try again", 10.0)
        self._open[account_no] += 1
        return partial(self._give_back, account_no)

    def _give_back(self, account_no: int) -> None:
        self._open[account_no] -= 1
        if not self._open[account_no]:
            del self._open[account_no]


class AccessCheck:
    """Checks every `ACCESS_CHECK_S` seconds that the caller of a stream may still read it.

    An endpoint checks the caller only once, at the start, but a stream lasts for days.
    """

    def __init__(self, look_up: Callable[[], Awaitable[object]]) -> None:
        """`look_up`: finds the caller's key or session; None if it is not valid any more."""
        self._look_up = look_up
        self._checked_s = float("-inf")

    async def is_over(self) -> bool:
        """Whether the stream must end.

        Raises:
            FeedbackLoopsError: the key or the session cannot be looked up now. The next call tries again.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._checked_s < ACCESS_CHECK_S:
            return False
        if await self._look_up() is None:
            return True
        self._checked_s = now_s
        return False


async def event_stream(tail: EventTail, access: AccessCheck, lost_id: str | None = None) -> AsyncIterator[bytes]:
    """The text of the stream, until the client disconnects or loses its access. Waits while the ledger is unavailable.

    `lost_id`: the client's last event, if it is not in the log.
    """
    loop = asyncio.get_running_loop()
    yield _HELLO if lost_id is None else _HELLO + _gap(lost_id)
    spoke_s = looked_back_s = loop.time()
    while True:
        try:
            if await access.is_over():
                yield _END
                return
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


def _gap(lost_id: str) -> bytes:
    """The event for a client that resumes after an event that is not in the log.

    It has no id, so the client keeps its own until it receives an event.
    """
    detail = "your last event is unknown or no longer in the log, so events may be missing here; see GET /v1/events"
    return b"event: gap\ndata: " + msgspec.json.encode({"last_event_id": lost_id, "detail": detail}) + b"\n\n"
