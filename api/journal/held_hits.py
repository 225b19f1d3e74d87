"""Hits that are answered while the journal cannot be opened: kept in memory, and added to it once it is open."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from actors.background_task import BackgroundTask
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.memory_buffer import MemoryBuffer
from api.journal.spill import Spill

log = logging.getLogger(__name__)

#: Hits that are added to the journal at once.
_BATCH_HITS: Final = 4096
#: Seconds to add the rest at a stop.
_STOP_S: Final = 1.0


class HeldHits:
    """A bounded number of hits in memory, in the order of their arrival."""

    def __init__(self, limits: JournalLimits | None = None) -> None:
        limits = limits or JournalLimits()
        self._hits = MemoryBuffer(limits.kept_hits, limits.kept_bytes)
        self._last = 0
        #: Hits for which there was no room.
        self.lost = 0

    def __len__(self) -> int:
        return len(self._hits)

    async def append(self, hit: bytes) -> None:
        """Adds a hit. If there is no room, it is dropped and counted."""
        if not self._hits.has_room_for(hit):
            self.lost += 1
            if self.lost == 1:
                log.error("hits are being lost", extra={"action": "hit_lost", "lost": self.lost})
            return
        self._last += 1
        self._hits.add(self._last, hit)

    def first(self, limit: int) -> list[tuple[int, bytes]]:
        """The first hits with their numbers."""
        return self._hits.first(limit, 1 << 62)

    def forget(self, number: int) -> None:
        """Removes a hit that is in the journal."""
        self._hits.forget(number)

    def save(self, spill: Spill | None) -> int:
        """Saves the hits at a stop. Returns how many are lost, with those that were dropped."""
        hits = [hit for _, hit in self.first(len(self))]
        lost = self.lost + len(hits) - (spill.write(hits) if spill is not None and hits else 0)
        if lost:
            log.critical("hits were lost during shutdown", extra={"action": "hit_lost", "lost": lost})
        return lost


class HeldHitsImport(BackgroundTask):
    """Adds held hits to the journal, which writes them, or keeps them as any others while its disk does not work."""

    def __init__(self, held: HeldHits, journal: Journal) -> None:
        self._held = held
        self._journal = journal

    async def stop(self) -> None:
        """Adds the rest, for a moment."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, _STOP_S)

    async def _run(self) -> None:
        while hits := self._held.first(_BATCH_HITS):
            await asyncio.gather(*(self._journal.append(hit) for _, hit in hits))
            for number, _ in hits:
                self._held.forget(number)
