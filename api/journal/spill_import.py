"""Import of spilled hits at a start: puts them into the journal, and removes their files once they are durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from actors.background_task import BackgroundTask
from api.journal.journal import Journal
from api.journal.spill import Spill, read_spilled
from domain.errors import JournalUnavailable, Overloaded

log = logging.getLogger(__name__)

#: Bytes of one commit.
_BATCH_BYTES: Final = 1 << 20


class SpillImport(BackgroundTask):
    """Imports every file, also one that cannot be journaled yet because the disk is still full.

    A file that is read twice, after a crash, changes nothing: the ledger records each event id once.
    """

    def __init__(self, spill: Spill, journal: Journal, retry_s: float = 5.0) -> None:
        self._spill = spill
        self._journal = journal
        self._retry_s = retry_s

    async def _run(self) -> None:
        known = None
        while True:
            try:
                for path in await asyncio.to_thread(self._spill.files):
                    await self._import(path)
            except OSError as exc:
                if known != (known := str(exc)):
                    facts = {"action": "spill_unreadable", "problem": known}
                    log.error("spilled hits cannot be read", extra=facts)  # noqa: TRY400 - no bug of ours
                await asyncio.sleep(self._retry_s)
            else:
                return

    async def _import(self, path: Path) -> None:
        hits, problem = 0, None
        batches = _batches(path)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            entries, problem = batch
            if entries:
                await self._journaled(entries)
            hits += len(entries)
        facts: dict[str, object] = {"hits": hits, "path": path}
        if problem is None:
            await asyncio.to_thread(self._spill.remove, path)
            log.info("spilled hits are in the journal", extra={"action": "spill_imported", **facts})
        else:
            await asyncio.to_thread(self._spill.set_aside, path)
            facts |= {"action": "spill_damaged", "problem": problem}
            log.error("a file of spilled hits is damaged", extra=facts)

    async def _journaled(self, entries: list[bytes]) -> None:
        """Returns when the entries are durable."""
        while True:
            try:
                await self._journal.append_reports(entries)
            except (JournalUnavailable, Overloaded):
                await asyncio.sleep(self._retry_s)
            else:
                return


def _batches(path: Path) -> Iterator[tuple[list[bytes], str | None]]:
    """The hits of a file in batches; with the last, why it ended early, or None."""
    batch: list[bytes] = []
    size, problem = 0, None
    try:
        for hit in read_spilled(path):
            batch.append(hit)
            size += len(hit)
            if size >= _BATCH_BYTES:
                yield batch, None
                batch, size = [], 0
    except ValueError as exc:
        problem = str(exc)
    yield batch, problem
