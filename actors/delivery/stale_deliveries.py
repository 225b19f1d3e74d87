"""Deliveries in a lane's hands whose data was read before the ledger changed it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


class StaleDeliveries:
    """Ids of stale deliveries, and those who wait until they are gone. For one event loop."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._waiting: list[tuple[set[int], asyncio.Future[None]]] = []

    async def gone(self, ids: Collection[int]) -> None:
        """Notes that these are stale, and returns when each has been discarded."""
        self._ids.update(ids)
        if ids:
            gone = asyncio.get_running_loop().create_future()
            self._waiting.append((set(ids), gone))
            await gone

    def discard(self, id_: int) -> bool:
        """Forgets a delivery. Returns whether it was stale."""
        if id_ not in self._ids:
            return False
        self._ids.discard(id_)
        for ids, _ in self._waiting:
            ids.discard(id_)
        self._end()
        return True

    def clear(self) -> None:
        """Forgets all: the lane has stopped."""
        self._ids.clear()
        for ids, _ in self._waiting:
            ids.clear()
        self._end()

    def _end(self) -> None:
        for ids, gone in self._waiting:
            if not ids and not gone.done():
                gone.set_result(None)
        self._waiting = [(ids, gone) for ids, gone in self._waiting if ids]
