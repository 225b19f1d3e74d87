"""Event that wakes all tasks that wait for the next change."""

from __future__ import annotations

import asyncio


class Broadcast:
    """Wakes all tasks that wait now; later ones wait for the next notification."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()
