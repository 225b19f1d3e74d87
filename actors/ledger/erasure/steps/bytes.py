"""Last step of an erasure: the store's files lose the bytes of what was changed and deleted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.front_ends import add_outside
from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store_access import ErasureStore
from domain.erasure import RunningErasure, StepName

log = logging.getLogger(__name__)

#: Seconds before the same delay is logged again.
LOG_S: Final = 60.0
#: The step rests this many times as long as it worked, so that many erasures do not keep the store busy.
REST_FACTOR: Final = 10
_KNOWN: Final = "SELECT outside FROM erasures WHERE no = $1"


class ByteClearing(Protocol):
    """Clearing of a store's files."""

    #: Sentences about files that are not ours, which keep former bytes.
    outside: Sequence[str]

    def clear(self) -> str | None:
        """Clears the bytes of all rows that were changed or deleted before. Blocks, but holds up no other writer.

        Returns None, or what keeps it from doing so now.

        Raises:
            StoreUnavailable: try again later.
        """
        ...


class BytesAction:
    """Clears the files once for all erasures that have come to this step."""

    name = StepName.BYTES

    def __init__(
        self, store: ErasureStore, clearing: ByteClearing, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clearing = clearing
        self._monotonic_s = monotonic_s
        self._rests_until_s = float("-inf")
        self._logged_at_s = float("-inf")
        self._waits_for: list[str] = []

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        began_s = self._monotonic_s()
        if began_s < self._rests_until_s:
            return Advance([], waits_for=self._waits_for)
        problem = await asyncio.to_thread(self._clearing.clear)
        ended_s = self._monotonic_s()
        self._rests_until_s = ended_s + REST_FACTOR * (ended_s - began_s)
        self._waits_for = [] if problem is None else [f"the store ({problem})"]
        if problem is not None:
            if ended_s - self._logged_at_s >= LOG_S:
                self._logged_at_s = ended_s
                log.warning("erased bytes cannot be cleared yet", extra={"action": "erasure_waits", "reason": problem})
            return Advance([], waits_for=self._waits_for)
        if self._clearing.outside:
            await self._store.commits.run(lambda cursor: self._note_outside(cursor, erasures), len(erasures))
        return Advance(erasures)

    def _note_outside(self, cursor: Cursor, erasures: Sequence[RunningErasure]) -> None:
        for erasure in erasures:
            [(known,)] = cursor.execute(_KNOWN, (erasure.no,)).fetchall()
            add_outside(cursor, erasure.no, known, self._clearing.outside)
