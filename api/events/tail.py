"""The end of an account's event log: events as they are recorded, each once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from msgspec import structs

from actors.commands.events import EventView, ListEvents
from actors.gateway.client import Client

#: Events in one look at the ledger.
PAGE: Final = 100
#: Ids that are remembered, so that an event which is recorded after newer ones is noticed and none is given twice.
#: More than hits are under way at once between the journal and the ledger.
REMEMBERED: Final = 2000
#: And for how long behind the newest one, in milliseconds.
REMEMBERED_MS: Final = 30_000
_BEFORE_ALL: Final = "evt_" + "0" * 32
_TIME_DIGITS: Final = slice(4, 16)


class EventTail:
    """Reads on where it was. Holds one page and `REMEMBERED` ids at most, however much there is to read.

    Ids are in the order of the hits, which are recorded in nearly that order. So it reads by id, and now and then looks
    back (`look_back`) over the last ids for any that came between them.
    """

    def __init__(self, client: Client, wanted: ListEvents) -> None:
        """`wanted` has the account, and which of its events are wanted."""
        self._client = client
        self._wanted = structs.replace(wanted, limit=PAGE)
        #: The ids given (or passed over at the start) after `_floor`.
        self._known: set[str] = set()
        self._floor = _BEFORE_ALL
        self._position = _BEFORE_ALL

    async def begin(self, last_id: str | None) -> None:
        """Goes to where it begins: after the event `last_id`, or after all events there are.

        Raises:
            FeedbackLoopsError: the log cannot be read now.
        """
        if last_id is not None:
            self._floor = self._position = last_id
            return
        page = await self._client.call(self._wanted)
        if page.data:
            self._position = page.data[0].id
            if page.next is not None:
                self._floor = page.data[-1].id
            self._remember(page.data)

    async def read(self) -> tuple[list[EventView], bool]:
        """The next events, at most `PAGE`, in the order of their ids; and whether there are more at once.

        Raises:
            FeedbackLoopsError: the log cannot be read now; nothing is passed over by that.
        """
        page = await self._client.call(structs.replace(self._wanted, after=self._position))
        fresh = [event for event in page.data if event.id not in self._known]
        if page.data:
            self._position = max(self._position, page.data[-1].id)
            self._remember(fresh)
        return fresh, page.next is not None

    def look_back(self) -> None:
        """Has the next `read` begin at the oldest id that is remembered."""
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
    """When an event's hit came: its id is a UUIDv7 (RFC 9562 5.7)."""
    return int(event_id[_TIME_DIGITS], 16)


def _first_id(time_ms: int) -> str:
    return f"evt_{max(0, time_ms):012x}"
