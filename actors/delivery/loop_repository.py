"""Repository of one feedback loop: loads the aggregate from the ledger, and writes its changes."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

from actors.ledger.concurrency import retry_on_conflict
from actors.ledger.reader import LedgerReader
from actors.ports import LedgerWriter
from domain.errors import ConcurrentWrite, DomainError, FeedbackLoopsError, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, stored_events
from domain.values import id_uuid

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Seconds before each reload after a write with unknown result. Several, because it may still take effect.
RELOADS_S: Final = (0.0, 1.0, 5.0)
FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0


class LoopRepository:
    """The loop as the ledger has it; memory is never ahead of the ledger.

    Changes are made one at a time, each on a copy that replaces the loop once its events are in the ledger. The
    repository calls `on_change` with the loop after each load and change, and with None when it does not know whether a
    write was carried out; it then reloads the loop.
    """

    def __init__(
        self,
        loop_id: str,
        ledger: LedgerWriter,
        reader: LedgerReader,
        on_change: Callable[[FeedbackLoop | None], None],
    ) -> None:
        self._loop_id = loop_id
        self._ledger = ledger
        self._reader = reader
        self._on_change = on_change
        self._lock = asyncio.Lock()
        #: None while its state in the ledger is unknown.
        self._loop: FeedbackLoop | None = None
        self._reloading: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Reads the loop from the ledger.

        Raises:
            NotFound: there is no such loop.
            StoreUnavailable: retry.
        """
        async with self._lock:
            self._set(await self._read())

    async def change(self, act: Callable[[FeedbackLoop], R]) -> R:
        """Changes the loop with `act`, and returns its result once the change is in the ledger.

        Calls `act` again if another writer was first. If `act` raises, nothing is changed.

        Raises:
            NotFound: there is no such loop.
            ConcurrentWrite: others keep writing.
            StoreUnavailable: the change may or may not have been written.
        """
        async with self._lock:
            return await retry_on_conflict(
                lambda: self._change(act), f"other requests keep changing {self._loop_id}: try again"
            )

    @property
    def is_settled(self) -> bool:
        """Whether the loop's state is known and no change is being made."""
        is_reloading = self._reloading is not None and not self._reloading.done()
        return self._loop is not None and not is_reloading and not self._lock.locked()

    def close(self) -> None:
        """Stops reloading."""
        if self._reloading is not None:
            self._reloading.cancel()

    async def _change(self, act: Callable[[FeedbackLoop], R]) -> R:
        loop = copy.deepcopy(self._loop or await self._read())
        result = act(loop)
        await self._append(loop)
        self._set(loop)
        return result

    async def _append(self, loop: FeedbackLoop) -> None:
        events = stored_events(loop)
        if not events:
            return
        try:
            await self._ledger.append(events)
        except ConcurrentWrite:
            self._loop = None
            raise
        except BaseException:
            self._loop = None
            self._on_change(None)
            self.close()
            self._reloading = asyncio.create_task(self._reload(), name="reload-loop")
            raise

    async def _read(self) -> FeedbackLoop:
        uuid = id_uuid("fl", self._loop_id) or UUID(int=0)
        stored = await asyncio.to_thread(self._reader.events_of, uuid)
        loop = FeedbackLoop.from_events(domain_events(stored))
        if loop is None:
            raise NotFound(f"there is no feedback loop {self._loop_id}")
        return loop

    def _set(self, loop: FeedbackLoop) -> None:
        self._loop = loop
        self._on_change(loop)

    async def _reload(self) -> None:
        with contextlib.suppress(NotFound):
            for delay_s in RELOADS_S:
                await asyncio.sleep(delay_s)
                await retry_until_available(self.load, "a loop cannot be loaded now", self._loop_id)


async def retry_until_available(work: Callable[[], Awaitable[object]], trouble: str, loop_id: str) -> None:
    """Repeats `work` for as long as the ledger is unavailable. Raises DomainErrors, which repeating cannot help."""
    backoff_s = FIRST_BACKOFF_S
    while True:
        try:
            await work()
        except DomainError:
            raise
        except FeedbackLoopsError as exc:
            facts = {"action": "loop_waits", "trouble": trouble, "loop_id": loop_id, "error": str(exc)}
            log.warning("a loop waits for the ledger", extra=facts)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
        else:
            return
