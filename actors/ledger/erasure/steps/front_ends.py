"""Step of an erasure: every front end confirms that its journal holds no more of the person."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store_access import ErasureStore
from domain.erasure import RunningErasure, StepName

_WAITING: Final = (
    "SELECT DISTINCT e.no FROM erasures AS e CROSS JOIN front_ends AS f"
    " WHERE e.completed_at_ms IS NULL AND e.step = $1 AND NOT EXISTS"
    " (SELECT 1 FROM erasure_front_ends AS c WHERE c.erasure_no = e.no AND c.front_end = f.front_end)"
)


class FrontEndsAction:
    """Waits for the confirmations. `edges forget` ends the wait for a front end that will not come back."""

    name = StepName.FRONT_ENDS

    def __init__(self, store: ErasureStore) -> None:
        self._store = store

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        rows = await asyncio.to_thread(self._store.connection.rows, _WAITING, (self.name.value,))
        waiting = {no for (no,) in rows}
        return Advance([erasure for erasure in erasures if erasure.no not in waiting])
