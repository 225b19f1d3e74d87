"""Tail of an account's event log: returns new events as they are recorded, each once."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from msgspec import structs

from actors.commands.events import EventView, GetEvent, ListEvents
from actors.gateway.client import Client
from domain.errors import NotFound

#: Pattern of an event's id.
EVENT_ID: Final = "evt_[0-9a-f]{32}"
#: Maximum events per read.
PAGE: Final = 100
#: Remembered ids. They serve to find events that are recorded after newer ones, and to return none twice. More than
#: the number of hits in flight between the journal and the ledger.
REMEMBERED: Final = 2000
#: Maximum age of a remembered id, compared with the newest one, in milliseconds.
REMEMBERED_MS: Final = 30_000
_BEFORE_ALL: Final = "evt_" + "0" * 32
_TIME_DIGITS: Final = slice(4, 16)


class EventTail:
    """Reads new events page by page. Holds at most one page and `REMEMBERED` ids.

    Ids are in the order of the hits, and events are recorded in nearly that order. So the tail reads by id, and now and
    then looks back (`look_back`) over the latest ids for events that were recorded late.
    """

    def __init__(self, client: Client, wanted: ListEvents) -> None:
        """`wanted` has the account and the filter for its events."""
        self._client = client
        self._wanted = structs.replace(wanted, limit=PAGE)
        #: The ids after `_floor` that were returned, or skipped at the start.
        self._known: set[str] = set()
        self._floor = _BEFORE_ALL
        self._position = _BEFORE_ALL

    async def begin(self, last_id: str | None) -> bool:
        """Starts after the event `last_id`, or after all present events. Returns whether that event is in the log.

        If it is not, the tail starts after the place where the event would be, or after all present events if there are
        none after it or `last_id` is no id. No text is an error, because browsers give up for good after one.

        Raises:
            FeedbackLoopsError: the log cannot be read now.
        """
        if last_id is None:
            await self._begin_now()
            return True
        if not re.fullmatch(EVENT_ID, last_id):
            await self._begin_now()
            return False
        self._floor = self._position = last_id
        try:
            await self._client.call(GetEvent(account=self._wanted.account, event_id=last_id))
        except NotFound:
            newest = await self._client.call(ListEvents(account=self._wanted.account, limit=1))
            if not newest.data or newest.data[0].id < last_id:
                self._floor = self._position = _BEFORE_ALL
                await self._begin_now()
            return False
        return True

    async def _begin_now(self) -> None:
        page = await self._client.call(self._wanted)
        if page.data:
            self._position = page.data[0].id
            if page.next is not None:
                self._floor = page.data[-1].id
            self._remember(page.data)

    async def read(self) -> tuple[list[EventView], bool]:
        """The next events, at most `PAGE`, in the order of their ids; and whether more are available now.

        Raises:
            FeedbackLoopsError: the log cannot be read now; no event is skipped.
        """
        page = await self._client.call(structs.replace(self._wanted, after=self._position))
        fresh = [event for event in page.data if event.id not in self._known]
        if page.data:
            self._position = max(self._position, page.data[-1].id)
            self._remember(fresh)
        return fresh, page.next is not None

    def look_back(self) -> None:
        """Makes the next `read` start at the oldest remembered id."""
        self._position = self._floor

    def _remember(self, events: Iterable[EventView]) -> None:
        self._known.update(event.id for event in events)
        ordered = sorted(self._known)
        if not ordered:
            return
        too_old = bisect_left(ordered, _first_id(_time_ms(ordered[-1]) - REMEMBERED_MS))
        dropped = max(too_old, len(ordered) - REMEMBERED)
        if dropped > 0:
            self._floor = ordered[dropped - 1]
            self._known.difference_update(ordered[:dropped])


def _time_ms(event_id: str) -> int:
    """Time of an event's hit, from its id, a UUIDv7 (RFC 9562, section 5.7)."""
    return int(event_id[_TIME_DIGITS], 16)


def _first_id(time_ms: int) -> str:
    return f"evt_{max(0, time_ms):012x}"
