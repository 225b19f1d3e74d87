"""Reader of the outbox: fetches pending deliveries of a loop when its lane has room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.background_task import BackgroundTask
from actors.delivery.lane_config import LaneConfig
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.prefetch_buffer import PrefetchBuffer
from actors.delivery.timer import Timer
from actors.ledger.reader import LedgerReader
from domain.delivery import OfferedDelivery
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

READ_AT_ONCE: Final = 250
#: Retries that fall due shortly after each other are read together.
MIN_READ_GAP_S: Final = 0.02


class OutboxReader(BackgroundTask):
    """Keeps the buffer filled from the outbox: when it is half empty, when a retry is due, and when it is nudged.

    In strict order it reads what was recorded first, due or not. Otherwise it reads what is due, earliest first. A new
    reader is paused, and assumes that the outbox is not empty.
    """

    def __init__(
        self,
        loop_no: int,
        config: LaneConfig,
        reader: LedgerReader,
        wall_clock: MonotonicWallClock,
        buffer: PrefetchBuffer,
        on_read: Callable[[], None],
    ) -> None:
        self._loop_no = loop_no
        self._loop_id = config.loop_id
        self._reader = reader
        self._wall_clock = wall_clock
        self._buffer = buffer
        self._on_read = on_read
        self._in_order = config.settings.ordered
        self._may_have_more = True
        self._is_paused = True
        #: Changes when the result of a running read is no longer wanted.
        self._epoch = 0
        self._read_now = asyncio.Event()
        self._timer = Timer(self.nudge)

    async def stop(self) -> None:
        """Stops reading."""
        self._timer.cancel()
        await super().stop()

    def pause(self) -> None:
        """Reads nothing until `resume`, and drops the result of a running read."""
        self._epoch += 1
        self._is_paused = True

    def resume(self) -> None:
        """Reads again, at once."""
        self._is_paused = False
        self.nudge()

    def set_order(self, *, strict: bool) -> None:
        """Reads in this order from now on; the lane has dropped the deliveries queued in another order."""
        self._epoch += 1
        self._in_order = strict
        self._buffer.is_in_order = False
        self.nudge()

    def note_more(self) -> None:
        """Notes that a delivery was left in the outbox for lack of room, and reads if there is room by now."""
        self._may_have_more = True
        self.refill()

    def nudge(self) -> None:
        """Reads soon: the outbox may have something."""
        self._may_have_more = True
        self._read_now.set()

    def refill(self) -> None:
        """Reads if the outbox may have more and the buffer has enough room to make it worthwhile."""
        if self._may_have_more and self._buffer.is_low:
            self._read_now.set()

    def read_at(self, due_at_ms: int) -> None:
        """Reads when a delivery falls due."""
        self._timer.ring_in(max(due_at_ms - self._wall_clock.now_ms(), 0) / 1000)

    async def _run(self) -> None:
        while True:
            await self._read_now.wait()
            self._read_now.clear()
            try:
                while not self._is_paused and self._buffer.is_low and await self._read():
                    pass
            except FeedbackLoopsError as exc:
                facts = {"action": "outbox_unreadable", "loop_id": self._loop_id, "error": str(exc)}
                log.warning("the outbox cannot be read now", extra=facts)
            except Exception:  # continue: the outbox poller nudges the lane again
                facts = {"action": "outbox_failed", "loop_id": self._loop_id}
                log.exception("reading the outbox failed", extra=facts)
            await asyncio.sleep(MIN_READ_GAP_S)

    async def _read(self) -> bool:
        """Fills the buffer. True: everything fitted, and there may be more."""
        limit = min(self._buffer.room_for_old, READ_AT_ONCE)
        epoch = self._epoch
        self._may_have_more = False
        self._buffer.begin_read()
        try:
            found, next_due_ms = await asyncio.to_thread(
                self._query, self._wall_clock.now_ms(), limit, self._buffer.ids, in_order=self._in_order
            )
        except BaseException:
            self._may_have_more = True
            raise
        finally:
            released = self._buffer.end_read()
        if epoch != self._epoch:
            self.nudge()
            return False
        self._buffer.is_in_order = self._in_order
        has_added_all = all(d.delivery_id in released or self._add(d) for d in found)
        self._may_have_more |= len(found) == limit or not has_added_all
        if next_due_ms is not None and next_due_ms > self._wall_clock.now_ms():
            self.read_at(next_due_ms)
        self._on_read()
        return len(found) == limit and has_added_all

    def _add(self, delivery: OfferedDelivery) -> bool:
        return self._buffer.add_old(delivery, 0 if self._in_order else delivery.due_at_ms)

    def _query(
        self, now_ms: int, limit: int, skip: list[int], *, in_order: bool
    ) -> tuple[list[OfferedDelivery], int | None]:
        found = self._reader.due_deliveries(self._loop_no, now_ms, limit, skip, in_order=in_order)
        return found, None if in_order else self._reader.next_due_ms(self._loop_no)
