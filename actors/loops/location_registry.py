"""Registry of which process holds each loop: the supervisor's log of locations, and the copies that follow it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from actors.background_task import BackgroundTask
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Changes kept for followers; a follower that is further behind gets all locations.
MAX_CHANGES: Final = 20_000
#: How long a request for changes waits for one.
WAIT_S: Final = 10.0
RETRY_S: Final = 0.2


class Broadcast:
    """Wakes all tasks that wait now; later ones wait for the next notification."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()


class LocationChanges(NamedTuple):
    """The changes since a version, or all locations."""

    #: Incarnation of the log. Versions of another incarnation mean nothing.
    incarnation: str
    version: int
    is_complete: bool
    #: Loops by the name of the process that holds them; "": no process does now.
    locations: dict[str, list[str]]


class LocationLog:
    """The location of each loop, and the latest changes in order. Kept by the supervisor."""

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._locations: dict[str, str] = {}
        self._changes: deque[tuple[str, str]] = deque(maxlen=MAX_CHANGES)
        self._version = 0
        self._is_published = False
        self._changed = Broadcast()

    def get(self, loop_id: str) -> str | None:
        """Name of the process that holds the loop."""
        return self._locations.get(loop_id)

    def record(self, loop_ids: Iterable[str], name: str) -> None:
        """Notes that these loops are in the process with this name; "": in none."""
        for loop_id in loop_ids:
            if self._locations.get(loop_id, "") == name:
                continue
            if name:
                self._locations[loop_id] = name
            else:
                del self._locations[loop_id]
            self._changes.append((loop_id, name))
            self._version += 1
        self._changed.notify()

    def publish(self) -> None:
        """Starts to answer followers, because the locations of all loops are known."""
        if not self._is_published:
            self._is_published = True
            self._changed.notify()

    async def since(self, incarnation: str, version: int) -> LocationChanges:
        """The changes since a version, as soon as there are any; after `WAIT_S`, none."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not self._is_published or (incarnation, version) == (self._incarnation, self._version):
                    await self._changed.wait()
        except TimeoutError:
            return LocationChanges(incarnation, version, is_complete=False, locations={})
        behind = self._version - version
        if incarnation != self._incarnation or behind > len(self._changes):
            everything = _by_process(self._locations.items())
            return LocationChanges(self._incarnation, self._version, is_complete=True, locations=everything)
        latest = islice(self._changes, len(self._changes) - behind, None)
        changed = _by_process(dict(latest).items())
        return LocationChanges(self._incarnation, self._version, is_complete=False, locations=changed)


def _by_process(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for loop_id, name in pairs:
        found.setdefault(name, []).append(loop_id)
    return found


class LocationRegistry(BackgroundTask):
    """Copy of the supervisor's log: milliseconds late, and stale while the supervisor is down.

    A location may be stale: the process then raises `Moved`, or ignores the message.
    """

    def __init__(
        self, fetch: Callable[[str, int], Awaitable[LocationChanges]], on_emptied: Callable[[str], None]
    ) -> None:
        """`fetch` is `LocationLog.since`. `on_emptied` gets the names of processes that no longer hold a loop."""
        self._fetch = fetch
        self._on_emptied = on_emptied
        self._incarnation = ""
        self._version = 0
        self._locations: dict[str, str] = {}

    def get(self, loop_id: str) -> str | None:
        """Name of the process that holds the loop, if known."""
        return self._locations.get(loop_id)

    def counts(self) -> Counter[str]:
        """Known number of loops in each process, by its name."""
        return Counter(self._locations.values())

    async def _run(self) -> None:
        while True:
            try:
                self._apply(await self._fetch(self._incarnation, self._version))
            except FeedbackLoopsError as exc:
                log.info(
                    "locations of loops cannot be updated now", extra={"action": "locations_unknown", "error": str(exc)}
                )
                await asyncio.sleep(RETRY_S)

    def _apply(self, changes: LocationChanges) -> None:
        before = set(self._locations.values())
        if changes.is_complete:
            self._locations = {}
        for name, loop_ids in changes.locations.items():
            for loop_id in loop_ids:
                if name:
                    self._locations[loop_id] = name
                else:
                    self._locations.pop(loop_id, None)
        self._incarnation, self._version = changes.incarnation, changes.version
        if changes.locations:
            for name in before.difference(self._locations.values()):
                self._on_emptied(name)
