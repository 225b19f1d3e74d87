"""The supervisor: keeps the loops that should run running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Protocol

from actors.ledger.reader_port import LedgerReader
from actors.metrics.tallies import Cell
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

RECONCILE_S: Final = 5.0
#: Starting a process takes half a second of a core: so many at once.
STARTING_AT_ONCE: Final = 4


class Launcher(Protocol):
    """Starts and ends the processes of loops."""

    def running(self) -> Iterable[str]:
        """Ids of the loops that have an actor, wherever it is and whoever started it."""
        ...

    async def start(self, loop_id: str) -> None:
        """Returns when the loop's actor answers; does nothing more when it runs already."""
        ...

    async def stop(self, loop_id: str) -> None:
        """Lets the loop's actor record what it has in hand, then ends it."""
        ...


class Supervisor:
    """Compares the loops of the ledger with those that run, at every change it is told of and every few seconds.

    It holds no state of its own: one that starts anew finds out what runs.
    """

    def __init__(self, reader: LedgerReader, launcher: Launcher, starts_failed: Cell | None = None) -> None:
        """`starts_failed` counts the loops whose actor did not start."""
        self._reader = reader
        self._launcher = launcher
        self._starts_failed = starts_failed or Cell()
        self._gate = asyncio.Semaphore(STARTING_AT_ONCE)
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to reconcile, in the background."""
        self._task = asyncio.create_task(self._reconcile_forever(), name="reconcile")

    async def stop(self) -> None:
        """Stops every loop, letting each record what it has in hand; starts none again."""
        if self._task is not None:
            self._task.cancel()
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*map(self._stop_one, self._launcher.running()))

    async def ensure(self, loop_id: str) -> None:
        """Returns when the loop's actor answers."""
        await asyncio.shield(self._begin(loop_id))

    async def release(self, loop_id: str) -> None:
        """Ends a deleted loop's actor."""
        await self._stop_one(loop_id)

    async def reconcile(self) -> None:
        """Starts what is missing, ends what should not be there."""
        wanted = await asyncio.to_thread(self._reader.running_loops)
        running = set(self._launcher.running())
        for loop_id in wanted:
            if loop_id not in running:
                self._begin(loop_id)
        for loop_id in running.difference(wanted, self._starting):
            await self._stop_one(loop_id)

    def _begin(self, loop_id: str) -> asyncio.Task[None]:
        task = self._starting.get(loop_id)
        if task is None:
            task = self._starting[loop_id] = asyncio.create_task(self._start_one(loop_id))
            task.add_done_callback(lambda done: self._started(loop_id, done))
        return task

    def _started(self, loop_id: str, task: asyncio.Task[None]) -> None:
        self._starting.pop(loop_id, None)
        if not task.cancelled() and task.exception() is not None:
            self._starts_failed.value += 1
            facts = {"action": "loop_not_started", "loop_id": loop_id, "error": str(task.exception())}
            log.error("a loop's actor did not start", extra=facts)

    async def _start_one(self, loop_id: str) -> None:
        async with self._gate:
            await self._launcher.start(loop_id)
            log.info("a loop's actor runs", extra={"action": "loop_started", "loop_id": loop_id})

    async def _stop_one(self, loop_id: str) -> None:
        try:
            await self._launcher.stop(loop_id)
        except FeedbackLoopsError as exc:
            facts = {"action": "loop_not_stopped", "loop_id": loop_id, "error": str(exc)}
            log.warning("a loop's actor did not stop as asked", extra=facts)

    async def _reconcile_forever(self) -> None:
        while True:
            try:
                await self.reconcile()
            except Exception:
                # One bad round must not end the watch; the next one starts from the facts again.
                log.exception("a round of reconciliation failed", extra={"action": "reconcile_failed"})
            await asyncio.sleep(RECONCILE_S)
