"""Scheduler of a lane: which delivery is attempted next, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.delivery.dependencies import DeliveryServices
from actors.delivery.lane_config import LaneConfig
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outcome_recorder import OutcomeRecorder
from actors.delivery.prefetch_buffer import PrefetchBuffer
from actors.delivery.rate_limiter import RateLimiter
from actors.delivery.timer import Timer
from domain.breaker import Breaker
from domain.delivery import OfferedDelivery
from domain.values import event_time_ms

#: Events younger than this are live, even if a burst of them went through the outbox.
LATE_MS: Final = 30_000
#: Waits are checked at least this often, because the clock may be set meanwhile.
MAX_WAIT_S: Final = 1.0


class Scheduler:
    """Takes the next delivery off the buffer if an attempt may begin now.

    The loop's order, concurrency and rate limit, the breaker, the recorder and the CPU throttle may each forbid it.
    When an attempt only has to wait, the scheduler calls `on_wake` once the time has come.
    """

    def __init__(
        self,
        config: LaneConfig,
        services: DeliveryServices,
        breaker: Breaker,
        buffer: PrefetchBuffer,
        recorder: OutcomeRecorder,
        wall_clock: MonotonicWallClock,
        on_wake: Callable[[], None],
    ) -> None:
        """`on_wake` is called when a delivery that had to wait may begin."""
        self._clock = services.clock
        self._cpu_throttle = services.cpu_throttle
        self._breaker = breaker
        self._buffer = buffer
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._timer = Timer(on_wake)
        self._rate_limiter = RateLimiter(config.settings.rate_limit, self._clock.monotonic_s())
        self.is_paused = True
        #: Whether a worker was refused because outcomes could not be recorded.
        self.is_held_back = False
        self.configure(config)

    def configure(self, config: LaneConfig) -> None:
        """Applies the loop's settings from the next attempt on."""
        self._is_ordered = config.settings.ordered
        self._rate_limiter.rate = config.settings.rate_limit
        self.is_rate_limited = config.settings.rate_limit is not None
        self._is_constrained = config.settings.ordered or self.is_rate_limited

    def stop(self) -> None:
        """Stops waiting."""
        self._timer.cancel()

    def openings(self, in_flight: int) -> int:
        """How many workers are worth waking: each may find an attempt to make."""
        openings = self._buffer.queued
        if self._is_constrained:
            openings = min(openings, 1)
        room = self._breaker.room(in_flight)
        return openings if room is None else min(openings, room)

    def next(self, in_flight: int) -> OfferedDelivery | None:
        """The delivery whose attempt begins now, or None if none may begin."""
        if self.is_paused or not self._buffer.queued:
            return None
        if self._recorder.is_stuck:  # a crash now would repeat every delivery that is not recorded: do not add more
            self.is_held_back = True
            return None
        if (self._is_constrained or self._breaker.is_alert) and not self._may_begin(in_flight):
            return None
        if self._buffer.is_old_next and (rest_s := self._rest_s()) > 0:
            self._wait(rest_s)
            return self._buffer.pop_live() if self._buffer.has_live else None
        return self._buffer.pop()

    def take_rate_slot(self) -> None:
        """Counts an attempt that begins now towards the rate limit."""
        now_s = self._clock.monotonic_s()
        self._rate_limiter.start(now_s)
        self._wait(max(self._rate_limiter.wait_s(now_s), 0.0))

    def _rest_s(self) -> float:
        """Seconds that the next delivery from the outbox has to wait, so that others get the processor."""
        if self._cpu_throttle is None:
            return 0.0
        age_ms = self._clock.now_ms() - event_time_ms(self._buffer.next_old().event_id)
        return self._cpu_throttle.rest_s() if age_ms > LATE_MS else 0.0

    def _may_begin(self, in_flight: int) -> bool:
        if self._is_ordered and (in_flight or self._buffer.failed or not self._buffer.is_in_order):
            return False
        if self._breaker.room(in_flight) == 0:
            return False
        if (wait_s := self._wait_s()) <= 0:
            return True
        self._wait(wait_s)
        return False

    def _wait_s(self) -> float:
        """Seconds until another attempt may begin; 0 or less means now."""
        wait_s = 0.0
        if self.is_rate_limited:
            wait_s = self._rate_limiter.wait_s(self._clock.monotonic_s())
        if self._breaker.is_open:
            wait_s = max(wait_s, self._breaker.wait_ms(self._wall_clock.now_ms()) / 1000)
        if self._is_ordered:
            wait_s = max(wait_s, (self._buffer.next_old().due_at_ms - self._wall_clock.now_ms()) / 1000)
        return wait_s

    def _wait(self, wait_s: float) -> None:
        self._timer.ring_in(min(wait_s, MAX_WAIT_S))
