"""Driver of a loop's replay: makes past deliveries due again, a few at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.background_task import BackgroundTask
from actors.ledger.reader import LedgerReader
from actors.ports import ReplayLedger
from domain.delivery import ReplayProgress
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Deliveries per transaction: few, because live events are recorded between two transactions.
STEP: Final = 500
#: The next step waits until fewer deliveries are due: the outbox stays small, and a replay can be cancelled.
LOW: Final = 500
#: How often the driver checks whether the lane has made progress.
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0


class ReplayDriver(BackgroundTask):
    """Advances the loop's running replay, if there is one, while the loop may receive.

    It keeps no state: the ledger has the progress, so a new driver continues from there after `stop`.
    """

    def __init__(
        self,
        loop_no: int,
        ledger: ReplayLedger,
        reader: LedgerReader,
        on_advanced: Callable[[], None],
        loop_id: str,
        *,
        has_replay: bool,
    ) -> None:
        """A paused driver. `on_advanced` is called when the outbox has more. `has_replay`: whether a replay runs."""
        self._loop_no = loop_no
        self._loop_id = loop_id
        self._ledger = ledger
        self._reader = reader
        self._on_advanced = on_advanced
        self._may_run = asyncio.Event()
        self._has_replay = asyncio.Event()
        if has_replay:
            self._has_replay.set()

    @property
    def has_replay(self) -> bool:
        """Whether a replay is running, as far as the driver knows."""
        return self._has_replay.is_set()

    def pause(self) -> None:
        """Advances nothing until `resume`."""
        self._may_run.clear()

    def resume(self) -> None:
        """Advances again."""
        self._may_run.set()

    def nudge(self) -> None:
        """Notes that a replay was started."""
        self._has_replay.set()

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._has_replay.wait()
            await self._may_run.wait()
            try:
                has_advanced = await self._advance()
            except FeedbackLoopsError as exc:
                facts = {"action": "replay_waits", "loop_id": self._loop_id, "error": str(exc)}
                log.warning("a replay cannot continue now; retrying", extra=facts)
                has_advanced = False
            except Exception:  # try again: without this task the replay would never continue
                log.exception("a replay failed", extra={"action": "replay_failed", "loop_id": self._loop_id})
                has_advanced = False
            pause_s = FIRST_PAUSE_S if has_advanced else min(2 * pause_s, MAX_PAUSE_S)
            if self._has_replay.is_set():
                await asyncio.sleep(pause_s)

    async def _advance(self) -> bool:
        """Makes the next deliveries of the running replay due, if the lane has little to do."""
        self._has_replay.clear()  # before the query, so that a replay which starts meanwhile is not missed
        try:
            running = await asyncio.to_thread(self._reader.running_replay, self._loop_no)
        except BaseException:
            self._has_replay.set()
            raise
        if running is None:
            return False
        self._has_replay.set()
        if await asyncio.to_thread(self._reader.pending_count, self._loop_no, LOW) >= LOW or not self._may_run.is_set():
            return False
        progress: ReplayProgress = await self._ledger.advance_replay(running.id, STEP)
        self._on_advanced()
        return progress != running
