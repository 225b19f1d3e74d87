"""Timer of the connections that wait for their clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol


class Connection(Protocol):
    """A connection with a deadline."""

    def end_if_late(self, now_s: float) -> None:
        """Ends the connection if its client is too slow."""
        ...


class DeadlineChecker:
    """Checks all connections that wait for their client: one timer per event loop, none while no connection waits.

    A request that arrives in one piece, as nearly all do, never gets here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float) -> None:
        self.loop = loop
        self._interval_s = interval_s
        #: In the order in which they began to wait, with the bytes that each holds.
        self._waiting: dict[Connection, int] = {}
        self.held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> None:
        """Starts checking the connection."""
        self._waiting.setdefault(connection, 0)
        if self._timer is None:
            self._timer = self.loop.call_later(self._interval_s, self._check)

    def remove(self, connection: Connection) -> None:
        """Stops checking the connection."""
        self.held_bytes -= self._waiting.pop(connection, 0)

    def hold(self, connection: Connection, size: int) -> None:
        """Notes how many bytes a waiting connection holds."""
        self.held_bytes += size - self._waiting[connection]
        self._waiting[connection] = size

    def longest_waiting(self, min_bytes: int = 0) -> Iterator[Connection]:
        """The connections that hold this much, from the one that has waited longest for its client."""
        return (connection for connection, size in tuple(self._waiting.items()) if size >= min_bytes)

    def _check(self) -> None:
        self._timer = None
        now_s = self.loop.time()
        for connection in tuple(self._waiting):
            connection.end_if_late(now_s)
        if self._waiting:
            self._timer = self.loop.call_later(self._interval_s, self._check)
