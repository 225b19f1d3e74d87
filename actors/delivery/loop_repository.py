"""A feedback loop in the ledger, and the one way to change it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

from actors.ledger.port import LedgerReader
from actors.ports import LedgerWriter
from domain.errors import ConcurrentWrite, DomainError, FeedbackLoopsError, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, event_mapper
from domain.values import id_uuid

log = logging.getLogger(__name__)

R = TypeVar("R")

MAX_TRIES: Final = 5
#: After a write whose fate is not known the ledger is read again, and again: it may be carried out yet.
RELOADS_S: Final = (0.0, 1.0, 5.0)
MAX_BACKOFF_S: Final = 5.0


class LoopRepository:
    """The loop as its events in the ledger tell it; what is in memory is never ahead of them.

    Changes are made one after the other: each to a copy, which becomes the loop when its events are in the ledger.
    `follow` is told of the loop after each; `doubt` when it is not known how the loop stands, until `follow` is told.
    """

    def __init__(
        self,
        loop_id: str,
        ledger: LedgerWriter,
        reader: LedgerReader,
        follow: Callable[[FeedbackLoop], None],
        doubt: Callable[[], None],
    ) -> None:
        self._loop_id = loop_id
        self._ledger = ledger
        self._reader = reader
        self._follow = follow
        self._doubt = doubt
        self._mapper = event_mapper()
        self._lock = asyncio.Lock()
        #: None while it is not known how it stands in the ledger.
        self._loop: FeedbackLoop | None = None
        self._finding_out: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Reads the loop from the ledger.

        Raises:
            NotFound: there is no such loop.
            StoreUnavailable: retry.
        """
        async with self._lock:
            self._take(await self._read())

    async def change(self, act: Callable[[FeedbackLoop], R]) -> R:
        """Lets `act` change the loop, and gives its answer when the change is in the ledger.

        `act` is called again when another writer was first. What it raises is raised, and nothing is changed.

        Raises:
            NotFound: there is no such loop.
            ConcurrentWrite: others keep writing.
            StoreUnavailable: it is not known if it was changed.
        """
        async with self._lock:
            for _ in range(MAX_TRIES):
                loop = copy.deepcopy(self._loop or await self._read())
                answer = act(loop)
                try:
                    await self._append(loop)
                except ConcurrentWrite:
                    self._loop = None
                    continue
                self._take(loop)
                return answer
        raise ConcurrentWrite(f"others keep writing to {self._loop_id}: try again")

    @property
    def is_certain(self) -> bool:
        """Whether it is known how the loop stands, and nobody is changing it."""
        is_finding_out = self._finding_out is not None and not self._finding_out.done()
        return self._loop is not None and not is_finding_out and not self._lock.locked()

    def close(self) -> None:
        """Stops finding out."""
        if self._finding_out is not None:
            self._finding_out.cancel()

    async def _append(self, loop: FeedbackLoop) -> None:
        events = [self._mapper.to_stored_event(event) for event in loop.collect_events()]
        if not events:
            return
        try:
            await self._ledger.append(events)
        except ConcurrentWrite:
            raise
        except BaseException:
            self._loop = None
            self._doubt()
            self.close()
            self._finding_out = asyncio.create_task(self._find_out(), name="find-out")
            raise

    async def _read(self) -> FeedbackLoop:
        uuid = id_uuid("fl", self._loop_id) or UUID(int=0)
        stored = await asyncio.to_thread(self._reader.events_of, uuid)
        loop = FeedbackLoop.from_events(domain_events(self._mapper, stored))
        if loop is None:
            raise NotFound(f"there is no feedback loop {self._loop_id}")
        return loop

    def _take(self, loop: FeedbackLoop) -> None:
        self._loop = loop
        self._follow(loop)

    async def _find_out(self) -> None:
        with contextlib.suppress(NotFound):
            for delay_s in RELOADS_S:
                await asyncio.sleep(delay_s)
                await persistently(self.load, "a loop cannot be loaded now", self._loop_id)


async def persistently(work: Callable[[], Awaitable[object]], trouble: str, loop_id: str) -> None:
    """Does it again until it is done, for as long as that takes. What repeating cannot help is raised."""
    backoff_s = 0.1
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
