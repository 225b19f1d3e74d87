"""System clock."""

from __future__ import annotations

import time


class SystemClock:
    """`Clock` of the operating system. The time of day may be set back; the monotonic time never is."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()
