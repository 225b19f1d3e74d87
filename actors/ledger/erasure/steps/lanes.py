"""Step of an erasure: the memory of the processes that hold loops. They forget what they have read, and read again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store_access import ErasureStore
from domain.erasure import ALL_ACCOUNTS, RunningErasure, StepName

log = logging.getLogger(__name__)

_LOOPS: Final = "SELECT id FROM loops WHERE account_no = $1"
_ALL_LOOPS: Final = "SELECT id FROM loops"


class LoopHosts(Protocol):
    """All processes that hold loops."""

    async def forget_queued(self, loop_ids: Sequence[str]) -> list[str]:
        """Makes the loops forget deliveries that they have read; returns when older attempts are recorded.

        Returns the names of the processes that did not answer.
        """
        ...


class LanesAction:
    """Asks all processes once for all erasures that have come to this step.

    The events are redacted in the store by then, so whatever is read from now on is redacted.
    """

    name = StepName.LANES

    def __init__(self, store: ErasureStore, hosts: LoopHosts) -> None:
        self._store = store
        self._hosts = hosts

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        loop_ids = await asyncio.to_thread(self._loops, {erasure.account_no for erasure in erasures})
        silent = await self._hosts.forget_queued(loop_ids) if loop_ids else []
        if silent:
            facts = {"action": "erasure_waits", "processes": ", ".join(silent)}
            log.warning("processes that hold loops have not confirmed an erasure", extra=facts)
            return Advance([], waits_for=[f"{name} (it holds loops, and does not answer)" for name in silent])
        return Advance(erasures)

    def _loops(self, account_nos: set[int]) -> list[str]:
        connection = self._store.connection
        if ALL_ACCOUNTS in account_nos:
            return [loop_id for (loop_id,) in connection.rows(_ALL_LOOPS)]
        return [loop_id for no in account_nos for (loop_id,) in connection.rows(_LOOPS, (no,))]
