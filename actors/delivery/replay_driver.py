"""Driving a replay: a loop's former deliveries are given back to its lane, a few at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.ledger.port import LedgerReader
from actors.ports import ReplayLedger
from domain.delivery import ReplayProgress
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Deliveries given back in one transaction: a small one, live events are recorded between two of them.
STEP: Final = 500
#: More is given back when less than this is due: the outbox is never flooded, and a replay can be cancelled.
LOW: Final = 500
#: How often it looks if the lane has got through what it was given.
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0


class ReplayDriver:
    """Keeps a loop's running replay going, when there is one and the loop is delivered to.

    It holds nothing: how far a replay has come is in the ledger, so one that starts anew goes on from there.
    """

    def __init__(
        self,
        loop_no: int,
        ledger: ReplayLedger,
        reader: LedgerReader,
        on_given: Callable[[], None],
        loop_id: str,
    ) -> None:
        """`on_given` is told when there is more in the outbox."""
        self._loop_no = loop_no
        self._loop_id = loop_id
        self._ledger = ledger
        self._reader = reader
        self._on_given = on_given
        self._may_go = asyncio.Event()
        self._has_one = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def has_one(self) -> bool:
        """Whether a replay runs, as far as is known."""
        return self._has_one.is_set()

    def start(self, *, has_one: bool) -> None:
        """Begins to drive the running replay, if there is one, in the background; paused."""
        if has_one:
            self._has_one.set()
        self._task = asyncio.create_task(self._replay_forever(), name="replay")

    async def stop(self) -> None:
        """Gives nothing back any more; a replay that runs is left running, for the one that comes after."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def pause(self) -> None:
        """Gives nothing back until `resume`."""
        self._may_go.clear()

    def resume(self) -> None:
        """Goes on."""
        self._may_go.set()

    def nudge(self) -> None:
        """A replay was started."""
        self._has_one.set()

    async def _replay_forever(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._has_one.wait()
            await self._may_go.wait()
            try:
                has_given = await self._advance()
            except FeedbackLoopsError as exc:
                facts = {"action": "replay_waits", "loop_id": self._loop_id, "error": str(exc)}
                log.warning("a replay cannot go on now", extra=facts)
                has_given = False
            except Exception:  # the next round may do better; without it the replay would stand still
                log.exception("a replay failed", extra={"action": "replay_failed", "loop_id": self._loop_id})
                has_given = False
            pause_s = FIRST_PAUSE_S if has_given else min(2 * pause_s, MAX_PAUSE_S)
            if self._has_one.is_set():
                await asyncio.sleep(pause_s)

    async def _advance(self) -> bool:
        """Gives some of a running replay back, if the lane has need of it."""
        self._has_one.clear()  # before it is looked for: one that is started meanwhile is not overlooked
        try:
            running = await asyncio.to_thread(self._reader.running_replay, self._loop_no)
        except BaseException:
            self._has_one.set()
            raise
        if running is None:
            return False
        self._has_one.set()
        if await asyncio.to_thread(self._reader.pending_count, self._loop_no, LOW) >= LOW or not self._may_go.is_set():
            return False
        progress: ReplayProgress = await self._ledger.advance_replay(running.id, STEP)
        self._on_given()
        return progress.done > running.done
