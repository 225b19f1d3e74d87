"""Gate of the start: a restored store erases people again before its loops deliver anything.

The files of erasures are the front end's (`actors.installation.erasure_file`). The gateway sends them before it starts
the supervisor, which assigns loops; the front end sends them again, in case an older store takes the place later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from actors.installation.erasure_file import ErasureLine, merged, read_erasures
from domain.errors import Unavailable

log = logging.getLogger(__name__)

LINES_AT_ONCE: Final = 200
#: Seconds that a start waits at most: what cannot be erased must not stop all deliveries for ever.
PATIENCE_S: Final = 900.0


class RepeatingLedger(Protocol):
    """The part of the ledger's writer that the gate needs."""

    async def repeat_erasures(self, erasures: Sequence[ErasureLine]) -> int: ...


class ErasureReader(Protocol):
    """The part of `LedgerReader` that the gate needs."""

    def count_unredacted(self) -> int:
        """Repeated erasures whose messages, events and profiles are not redacted yet."""
        ...


class ErasureGate:
    """Waits at a start until no event of a person that was erased can be delivered."""

    def __init__(
        self,
        paths: Sequence[Path],
        ledger: RepeatingLedger,
        reader: ErasureReader,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._paths = paths
        self._ledger = ledger
        self._reader = reader
        self._patience_s = patience_s
        self._ends_s: float | None = None

    async def pass_through(self) -> None:
        """Returns once everything is redacted, or after `PATIENCE_S`.

        Raises:
            Unavailable: not yet; call this again.
            StoreUnavailable: the files or the store cannot be read; call this again.
        """
        if self._ends_s is None:
            await self._repeat()
            self._ends_s = time.monotonic() + self._patience_s
        left = await asyncio.to_thread(self._reader.count_unredacted)
        if left and time.monotonic() < self._ends_s:
            raise Unavailable(f"{left} erasures of people are repeated before anything is delivered")
        if left:
            log.critical("deliveries start before people are erased again", extra={"action": "gate_given_up"})

    async def _repeat(self) -> None:
        files = await asyncio.to_thread(lambda: [read_erasures(path) for path in self._paths])
        lines = merged(files)
        for first in range(0, len(lines), LINES_AT_ONCE):
            await self._ledger.repeat_erasures(lines[first : first + LINES_AT_ONCE])
