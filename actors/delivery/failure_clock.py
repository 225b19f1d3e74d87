"""Failure clock of a lane: how long its handler has only failed, and when the loop has to be disabled for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.background_task import BackgroundTask
from actors.delivery.dependencies import DeliveryServices
from actors.delivery.outcome_recorder import OutcomeRecorder
from actors.delivery.prefetch_buffer import PrefetchBuffer
from actors.delivery.timer import Timer
from domain.breaker import Breaker
from domain.errors import FeedbackLoopsError

#: How often the time is recorded. A crash loses no more than this.
RECORD_EVERY_S: Final = 30.0
#: How soon it looks again while the ledger is away.
LEDGER_AWAY_S: Final = 5.0
MIN_LOOK_GAP_S: Final = 0.1


class FailureClock(BackgroundTask):
    """Adds to `Breaker.failing_ms` while the lane is active and at least one failed delivery waits for its retry.

    A failure starts it. It looks into the ledger whether failed deliveries are left: after attempts were recorded, and
    every `RECORD_EVERY_S`. It stops while the ledger is away, because the handler is not to blame then. It only uses
    monotonic time. A success sets it to 0.
    """

    def __init__(
        self,
        loop_no: int,
        services: DeliveryServices,
        breaker: Breaker,
        buffer: PrefetchBuffer,
        recorder: OutcomeRecorder,
        on_expired: Callable[[str], None],
    ) -> None:
        """A paused clock. `on_expired` gets the reason why the loop has to be disabled."""
        self._loop_no = loop_no
        self._reader = services.reader
        self._monotonic_s = services.clock.monotonic_s
        self._disable_after_s = services.policy.disable_after_s
        self._breaker = breaker
        self._buffer = buffer
        self._recorder = recorder
        self._on_expired = on_expired
        self._is_active = False
        #: Monotonic time up to which `failing_ms` is complete; None while no failed delivery waits.
        self._counted_to_s: float | None = None
        #: Failures so far: a look that began before the last one may have missed it.
        self._failures = 0
        self._look_now = asyncio.Event()
        self._timer = Timer(self._look_now.set)
        if self._left_s() <= 0:  # the loop was resumed since, so it has all of its time again
            breaker.forgive()

    @property
    def is_running(self) -> bool:
        """Whether the time counts now."""
        return self._counted_to_s is not None

    def note_failure(self) -> None:
        """Starts the clock, because a failed delivery waits for its retry; never blocks."""
        self._failures += 1
        if self._is_active and self._counted_to_s is None:
            self._counted_to_s = self._monotonic_s()
            self._ring()

    def note_recorded(self) -> None:
        """Looks soon whether failed deliveries are left; never blocks."""
        self._look_now.set()

    def restart(self) -> None:
        """Sets the time to 0."""
        self._breaker.failing_ms = 0
        if self._counted_to_s is not None:
            self._counted_to_s = self._monotonic_s()

    def resume(self) -> None:
        """Counts again if failed deliveries wait."""
        self._is_active = True
        self._look_now.set()

    def pause(self) -> None:
        """Stops counting until `resume`."""
        self._count()
        self._is_active = False
        self._counted_to_s = None
        self._timer.cancel()

    async def stop(self) -> None:
        """Stops counting."""
        self.pause()
        await super().stop()

    async def _run(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            if self._is_active:
                await self._look()
                await asyncio.sleep(MIN_LOOK_GAP_S)

    async def _look(self) -> None:
        failures, has_failed = self._failures, await self._has_failed()
        if not self._is_active:
            return
        if has_failed is None:
            if self._counted_to_s is not None:
                self._counted_to_s = self._monotonic_s()
            self._timer.ring_in(LEDGER_AWAY_S)
            return
        self._count()
        if has_failed or failures != self._failures:
            self._counted_to_s = self._monotonic_s()
            if self._left_s() <= 0:
                self._on_expired(f"every delivery has failed for {_duration(self._disable_after_s)}")
                return
            self._ring()
        else:
            self._counted_to_s = None
        self._recorder.record_health()

    async def _has_failed(self) -> bool | None:
        """Whether a failed delivery waits for its retry; None if the ledger is away."""
        if self._recorder.is_stuck:
            return None
        try:
            return bool(self._buffer.failed) or await asyncio.to_thread(self._reader.has_failed, self._loop_no)
        except FeedbackLoopsError:
            return None

    def _count(self) -> None:
        if self._counted_to_s is not None:
            now_s = self._monotonic_s()
            self._breaker.failing_ms += round((now_s - self._counted_to_s) * 1000)
            self._counted_to_s = now_s

    def _left_s(self) -> float:
        return self._disable_after_s - self._breaker.failing_ms / 1000

    def _ring(self) -> None:
        self._timer.ring_in(min(self._left_s(), RECORD_EVERY_S))


def _duration(seconds: float) -> str:
    """A duration in words, in the largest unit that it fills at least once."""
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} seconds"
