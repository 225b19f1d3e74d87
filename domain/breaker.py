"""Circuit breaker of a loop: it probes a handler that is down, and lets one that is back warm up.

    closed ──a run of `FAILURES_TO_OPEN` failures──▶ open ──the handler answers──▶ closed, with few POSTs at a time

It also keeps the figures about the handler's failures. Callers pass times and random numbers.
"""

from __future__ import annotations

from typing import Final

from domain.delivery import LaneHealth
from domain.retry import JITTER

FAILURES_TO_OPEN: Final = 5
FIRST_PROBE_S: Final = 1.0
MAX_PROBE_S: Final = 60.0
#: Statuses below 500 that mean that the handler cannot accept events now: timeout, too early, too many.
_BUSY: Final = frozenset({408, 425, 429})

CLOSED: Final = "closed"
OPEN: Final = "open"


def is_down(status: int | None) -> bool:
    """Whether a failed attempt (None: no response) means that the handler is down, not that it rejected this event."""
    return status is None or not 400 <= status < 500 or status in _BUSY


class Breaker:
    """Decides whether a loop may begin an attempt. The caller reports the end of every attempt, in order.

    While open, it lets one attempt (a probe) through at a time, at growing intervals. Failures of attempts that began
    earlier do not lengthen the intervals. When the handler answers again, the breaker allows 1, 2, 4, … attempts in
    flight, up to `max_concurrency`.
    """

    def __init__(self, health: LaneHealth, now_ms: int, max_concurrency: int) -> None:
        """Continues from `health`, which an earlier breaker reported."""
        self.max_concurrency = max_concurrency
        self.is_open = health.breaker == OPEN
        #: Whether attempts are limited: the breaker is open, or the handler warms up.
        self.is_alert = self.is_open
        self.failing_since_ms = health.failing_since_ms
        self.failures = health.failures
        #: Milliseconds without a success, as the caller counts them; a success sets them to 0.
        self.failing_ms = health.failing_ms
        self._last_error = health.last_error
        self._last_success_ms = health.last_success_ms
        self._last_failure_ms = health.last_failure_ms
        self._interval_s = FIRST_PROBE_S
        self._next_probe_ms = health.next_probe_ms if self.is_open else None
        if self._next_probe_ms is not None:
            # The clock may have been set meanwhile: do not wait longer than planned.
            pause_ms = max(self._next_probe_ms - (health.last_failure_ms or now_ms), 0)
            self._next_probe_ms = min(self._next_probe_ms, now_ms + pause_ms)
            self._interval_s = min(max(pause_ms / 1000, FIRST_PROBE_S), MAX_PROBE_S)
        self._failures_in_a_row = 0
        #: Number of the probe in flight, 0 for none.
        self._probe = 0
        self._probes = 0
        #: Attempts that may be in flight together while the handler warms up, None for no limit.
        self._allowed: int | None = None
        self._answers_left = 0

    def forgive(self) -> None:
        """Closes the breaker and forgets all failures."""
        self.is_open = self.is_alert = False
        self.failing_since_ms = self._next_probe_ms = self._allowed = None
        self.failures = self.failing_ms = self._failures_in_a_row = self._probe = 0

    def probe_at_once(self, now_ms: int) -> None:
        """Allows the next probe now, whatever the handler asked for: the caller expects it to succeed."""
        if self.is_open:
            self._next_probe_ms = now_ms

    @property
    def health(self) -> LaneHealth:
        """The state that a later breaker continues from."""
        return LaneHealth(
            OPEN if self.is_open else CLOSED,
            self.failing_since_ms,
            self._last_success_ms,
            self._last_failure_ms,
            self.failures,
            self._next_probe_ms,
            self.failing_ms,
            self._last_error,
        )

    def room(self, in_flight: int) -> int | None:
        """How many more attempts may begin, apart from `wait_ms`; None means any number."""
        if self.is_open:
            return 0 if self._probe else 1
        return None if self._allowed is None else max(self._allowed - in_flight, 0)

    def wait_ms(self, now_ms: int) -> int:
        """Milliseconds until the next probe may begin."""
        return max(self._next_probe_ms - now_ms, 0) if self.is_open and self._next_probe_ms is not None else 0

    def begin(self) -> int:
        """Starts an attempt. Returns the number of the probe for `fail`, or 0 if it is none."""
        if not self.is_open:
            return 0
        self._probes += 1
        self._probe = self._probes
        return self._probe

    def succeed(self, now_ms: int) -> None:
        """Reports a successful attempt."""
        self._last_success_ms = now_ms
        if self.failures or self.is_alert:
            self.failures = self.failing_ms = 0
            self.failing_since_ms = None
            self._answered()

    def fail(
        self,
        now_ms: int,
        *,
        probe: int,
        is_down: bool,
        error: str = "",
        retry_after_s: float = 0.0,
        jitter: float = 0.5,
    ) -> None:
        """Reports a failed attempt. `probe`: what `begin` returned. `is_down`: what that function returned.

        `error` is the failure in a few words. `retry_after_s` delays the next probe. `jitter` in [0, 1) spreads the
        probes of loops that failed together.
        """
        self._last_failure_ms = now_ms
        self._last_error = error
        self.failures += 1
        if self.failing_since_ms is None:
            self.failing_since_ms = now_ms
        is_probe = self.is_open and 0 < probe == self._probe
        if is_probe:
            self._probe = 0
        if not is_down:
            self._answered()
            return
        self._failures_in_a_row += 1
        if self.is_open:
            self._delay_probe(now_ms, retry_after_s, jitter, is_probe=is_probe)
        elif self._failures_in_a_row >= FAILURES_TO_OPEN:
            self.is_open = self.is_alert = True
            self._probe = 0
            self._allowed = None
            self._interval_s = FIRST_PROBE_S
            self._next_probe_ms = now_ms
            self._schedule_probe(now_ms, retry_after_s, jitter)

    def _delay_probe(self, now_ms: int, retry_after_s: float, jitter: float, *, is_probe: bool) -> None:
        if is_probe:
            self._interval_s = min(2 * self._interval_s, MAX_PROBE_S)
            self._schedule_probe(now_ms, retry_after_s, jitter)
        elif retry_after_s and self._next_probe_ms is not None:
            self._next_probe_ms = max(self._next_probe_ms, now_ms + round(retry_after_s * 1000))

    def _schedule_probe(self, now_ms: int, retry_after_s: float, jitter: float) -> None:
        wait_s = max(self._interval_s * (1 - JITTER + 2 * JITTER * jitter), retry_after_s)
        self._next_probe_ms = now_ms + round(wait_s * 1000)

    def _answered(self) -> None:
        self._failures_in_a_row = 0
        if not self.is_alert:
            return
        if self.is_open:
            self.is_open = False
            self._probe = 0
            self._next_probe_ms = None
            self._allowed = self._answers_left = 1
        elif self._allowed is not None:
            self._answers_left -= 1
            if self._answers_left <= 0:
                self._allowed *= 2
                self._answers_left = self._allowed
                if self._allowed >= self.max_concurrency:
                    self._allowed = None
                    self.is_alert = False
