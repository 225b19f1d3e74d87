"""What a loop is owed and its lane does not have in hand: in the outbox, and fetched from there when there is room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.prefetch_buffer import PrefetchBuffer
from actors.ledger.port import LedgerReader
from domain.delivery import OfferedDelivery
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

READ_AT_ONCE: Final = 250
#: Retries that fall due one after the other are read together.
MIN_READ_GAP_S: Final = 0.02


class OutboxReader:
    """Keeps what is in hand filled from the outbox: when it falls to half, when a retry is due, and when it is nudged.

    In strict order it takes what was recorded first, due or not; otherwise what is due, the soonest first. A new one is
    paused, and supposes that the outbox holds something.
    """

    def __init__(
        self,
        loop_no: int,
        reader: LedgerReader,
        time: MonotonicWallClock,
        in_hand: PrefetchBuffer,
        on_taken: Callable[[], None],
        *,
        loop_id: str,
        in_order: bool,
    ) -> None:
        self._loop_no = loop_no
        self._loop_id = loop_id
        self._reader = reader
        self._time = time
        self._in_hand = in_hand
        self._on_taken = on_taken
        self._in_order = in_order
        self._holds_more = True
        self._is_paused = True
        #: Changes when what is being read is no longer what is wanted.
        self._epoch = 0
        self._read_now = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms = 0

    def start(self) -> None:
        """Begins to watch the outbox, in the running event loop."""
        self._reading = asyncio.create_task(self._read_forever(), name="read-outbox")

    async def stop(self) -> None:
        """Watches it no more."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def pause(self) -> None:
        """Fetches nothing until `resume`; what is being read is left where it is."""
        self._epoch += 1
        self._is_paused = True

    def resume(self) -> None:
        """Fetches again, at once."""
        self._is_paused = False
        self.nudge()

    def order(self, *, strictly: bool) -> None:
        """From now on fetches in this order; the lane has let go of what was queued in another."""
        self._epoch += 1
        self._in_order = strictly
        self.nudge()

    def note(self) -> None:
        """Something that was offered was left in the outbox for want of room: there may be room for what is old."""
        self._holds_more = True
        self.hasten()

    def nudge(self) -> None:
        """Something may be in the outbox: reads it soon."""
        self._holds_more = True
        self._read_now.set()

    def hasten(self) -> None:
        """Some of what was in hand is gone: reads more if there is more, and room enough to be worth it."""
        if self._holds_more and self._in_hand.is_low:
            self._read_now.set()

    def read_by(self, due_at_ms: int) -> None:
        """Reads the outbox when a delivery falls due."""
        if self._alarm is None or due_at_ms < self._alarm_ms:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_ms = due_at_ms
            in_s = max(due_at_ms - self._time.now_ms(), 0) / 1000
            self._alarm = asyncio.get_running_loop().call_later(in_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.nudge()

    async def _read_forever(self) -> None:
        while True:
            await self._read_now.wait()
            self._read_now.clear()
            try:
                while not self._is_paused and self._in_hand.is_low and await self._read():
                    pass
            except FeedbackLoopsError as exc:
                facts = {"action": "outbox_unreadable", "loop_id": self._loop_id, "error": str(exc)}
                log.warning("the outbox cannot be read now", extra=facts)
            except Exception:  # the next nudge may do better, and the outbox watch gives it
                facts = {"action": "outbox_failed", "loop_id": self._loop_id}
                log.exception("reading the outbox failed", extra=facts)
            await asyncio.sleep(MIN_READ_GAP_S)

    async def _read(self) -> bool:
        """Takes what is wanted out of the outbox. True: all of it was taken, and there may be more."""
        limit = min(self._in_hand.room_for_old, READ_AT_ONCE)
        epoch = self._epoch
        self._holds_more = False
        self._in_hand.begin_read()
        try:
            found, next_due_ms = await asyncio.to_thread(
                self._look, self._time.now_ms(), limit, self._in_hand.ids, in_order=self._in_order
            )
        except BaseException:
            self._holds_more = True
            raise
        finally:
            released = self._in_hand.end_read()
        if epoch != self._epoch:
            self.nudge()
            return False
        has_taken_all = all(d.delivery_id in released or self._take(d) for d in found)
        self._holds_more |= len(found) == limit or not has_taken_all
        if next_due_ms is not None and next_due_ms > self._time.now_ms():
            self.read_by(next_due_ms)
        self._on_taken()
        return len(found) == limit and has_taken_all

    def _take(self, delivery: OfferedDelivery) -> bool:
        return self._in_hand.take_old(delivery, 0 if self._in_order else delivery.due_at_ms)

    def _look(
        self, now_ms: int, limit: int, skip: list[int], *, in_order: bool
    ) -> tuple[list[OfferedDelivery], int | None]:
        found = self._reader.due_deliveries(self._loop_no, now_ms, limit, skip, in_order=in_order)
        return found, None if in_order else self._reader.next_due_ms(self._loop_no)
