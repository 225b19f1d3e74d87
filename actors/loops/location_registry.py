"""Which process holds each loop: as the supervisor tells it, and as others know it from there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Changes that are kept for those who follow; who is further behind gets the whole.
MAX_CHANGES: Final = 20_000
#: How long a question for changes waits for one.
WAIT_S: Final = 10.0
RETRY_S: Final = 0.2


class Changes(NamedTuple):
    """What has changed since a version, or everything."""

    #: Of the log: versions of another life mean nothing.
    life: str
    version: int
    is_whole: bool
    #: Loops by the name of the place that holds them; "": they are nowhere any more.
    places: dict[str, list[str]]


class PlacesLog:
    """The place of each loop, with the changes in their order."""

    def __init__(self, life: str) -> None:
        self._life = life
        self._places: dict[str, str] = {}
        self._changes: deque[tuple[str, str]] = deque(maxlen=MAX_CHANGES)
        self._version = 0
        self._is_open = False
        self._changed = asyncio.Event()

    def get(self, loop_id: str) -> str | None:
        """The name of the loop's place."""
        return self._places.get(loop_id)

    def note(self, loop_ids: Iterable[str], name: str) -> None:
        """Loops are there now; "": nowhere."""
        for loop_id in loop_ids:
            if self._places.get(loop_id, "") == name:
                continue
            if name:
                self._places[loop_id] = name
            else:
                del self._places[loop_id]
            self._changes.append((loop_id, name))
            self._version += 1
        self._tell()

    def open(self) -> None:
        """It is known where the loops are: from now on others are told."""
        if not self._is_open:
            self._is_open = True
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def since(self, life: str, version: int) -> Changes:
        """What has changed since then, as soon as something has; after a while, nothing."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not self._is_open or (life, version) == (self._life, self._version):
                    await self._changed.wait()
        except TimeoutError:
            return Changes(life, version, is_whole=False, places={})
        behind = self._version - version
        if life != self._life or behind > len(self._changes):
            return Changes(self._life, self._version, is_whole=True, places=_by_place(self._places.items()))
        latest = islice(self._changes, len(self._changes) - behind, None)
        return Changes(self._life, self._version, is_whole=False, places=_by_place(dict(latest).items()))


def _by_place(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for loop_id, name in pairs:
        found.setdefault(name, []).append(loop_id)
    return found


class Places:
    """A copy of the supervisor's log that follows it: late by milliseconds, and old while the supervisor is away.

    Who acts by it may come to a place that holds the loop no more, and is told so or ignored there.
    """

    def __init__(self, fetch: Callable[[str, int], Awaitable[Changes]], on_left: Callable[[str], None]) -> None:
        """`fetch` is `PlacesLog.since`. `on_left` is told the names of places that no loop is at any more."""
        self._fetch = fetch
        self._on_left = on_left
        self._life = ""
        self._version = 0
        self._places: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to follow, in the running event loop."""
        self._task = asyncio.create_task(self._follow_forever(), name="follow-places")

    async def stop(self) -> None:
        """Follows no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def get(self, loop_id: str) -> str | None:
        """The name of the loop's place, as far as is known."""
        return self._places.get(loop_id)

    def counts(self) -> Counter[str]:
        """How many loops each place holds, by its name, as far as is known."""
        return Counter(self._places.values())

    async def _follow_forever(self) -> None:
        while True:
            try:
                self._take(await self._fetch(self._life, self._version))
            except FeedbackLoopsError as exc:
                log.info("it is not known now where loops are", extra={"action": "places_unknown", "error": str(exc)})
                await asyncio.sleep(RETRY_S)

    def _take(self, changes: Changes) -> None:
        before = set(self._places.values())
        if changes.is_whole:
            self._places = {}
        for name, loop_ids in changes.places.items():
            for loop_id in loop_ids:
                if name:
                    self._places[loop_id] = name
                else:
                    self._places.pop(loop_id, None)
        self._life, self._version = changes.life, changes.version
        if changes.places:
            for name in before.difference(self._places.values()):
                self._on_left(name)
