"""The rate that a loop's handler may be called at."""

from __future__ import annotations

from typing import Final

#: A start that was late by less than this is made up for, or no rate would ever be reached.
MAX_LATE_S: Final = 0.05


class RateLimiter:
    """Spaces starts evenly. In any second there are at most one more than the rate says, a restart included.

    Each start has a slot, slots are at least `1 / rate` apart, and a start is at most `MAX_LATE_S` (or one such gap)
    later than its slot. Times are monotonic seconds.
    """

    def __init__(self, rate: float | None, now_s: float) -> None:
        """`rate`: starts a second, None for no limit. A process that ended just now may have started some."""
        self.rate = rate
        gap_s = 0.0 if rate is None else 1 / rate
        self._slot_s = now_s - max(gap_s - 1, 0.0)

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next start may be; 0 or less: now."""
        return 0.0 if self.rate is None else self._slot_s + 1 / self.rate - now_s

    def start(self, now_s: float) -> None:
        """Takes the next slot."""
        gap_s = 0.0 if self.rate is None else 1 / self.rate
        self._slot_s = max(self._slot_s + gap_s, now_s - min(gap_s, MAX_LATE_S))
