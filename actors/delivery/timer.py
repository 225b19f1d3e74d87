"""A timer for the earliest of several requested times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timer:
    """Calls `on_ring` once, at the earliest of the times requested since it last rang."""

    def __init__(self, on_ring: Callable[[], None]) -> None:
        self._on_ring = on_ring
        self._handle: asyncio.TimerHandle | None = None
        self._at_s = 0.0

    def ring_in(self, wait_s: float) -> None:
        """Rings in `wait_s` seconds, unless it rings earlier anyway."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + wait_s
        if self._handle is not None:
            if self._at_s <= at_s:
                return
            self._handle.cancel()
        # Kept here because uvloop's handle cannot report its time once that time has passed.
        self._at_s = at_s
        self._handle = loop.call_at(at_s, self._ring)

    def cancel(self) -> None:
        """Forgets the requested times."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._on_ring()
