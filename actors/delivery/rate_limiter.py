"""Rate limiter for the POSTs to one loop's handler."""

from __future__ import annotations

from typing import Final

#: Starts may catch up on delays shorter than this; otherwise no rate would ever be reached.
MAX_LATE_S: Final = 0.05


class RateLimiter:
    """Spaces starts evenly. Any second has at most one more than the rate allows, even across a restart.

    Each start takes a slot. Slots are at least `1 / rate` apart, and a start is at most `MAX_LATE_S` (or one such gap)
    later than its slot. Times are monotonic seconds.
    """

    def __init__(self, rate: float | None, now_s: float) -> None:
        """`rate`: starts per second, None for no limit. Assumes that a process which has just ended used some slots."""
        self.rate = rate
        gap_s = 0.0 if rate is None else 1 / rate
        self._slot_s = now_s - max(gap_s - 1, 0.0)

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next start is allowed; 0 or less means now."""
        return 0.0 if self.rate is None else self._slot_s + 1 / self.rate - now_s

    def start(self, now_s: float) -> None:
        """Takes the next slot."""
        gap_s = 0.0 if self.rate is None else 1 / self.rate
        self._slot_s = max(self._slot_s + gap_s, now_s - min(gap_s, MAX_LATE_S))
