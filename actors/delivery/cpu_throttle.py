"""CPU throttle for old deliveries, so that a backlog leaves processor time for live events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Share of one core, 0 to 1. A backlog still drains faster than events can come in: see `benchmarks/drain.py`.
SHARE: Final = 0.55
#: Seconds over which the share is measured; unused time from before is forfeited.
WINDOW_S: Final = 0.05
#: Shorter pauses cost more than they save.
MIN_REST_S: Final = 0.002
#: The longest pause, so that old deliveries make progress however busy the process is.
MAX_REST_S: Final = 0.02
#: Reading the clocks costs a microsecond, so they are read only once per this many deliveries.
PIECES: Final = 8


class CpuThrottle:
    """Decides when background work has to pause, from the processor time that the process has used.

    A slow handler uses no processor time, so its deliveries never pause. Work that could keep a core busy pauses often
    and briefly, and other processes get the processor and the disk in between. All lanes of a process share one.
    """

    def __init__(self, monotonic_s: Callable[[], float], cpu_s: Callable[[], float], share: float = SHARE) -> None:
        """`cpu_s`: processor time of the process, seconds."""
        self._monotonic_s = monotonic_s
        self._cpu_s = cpu_s
        self._share = share
        self._pieces = 0
        self._rests_until_s = 0.0
        self._since_s = monotonic_s()
        self._cpu_before_s = cpu_s()

    def rest_s(self) -> float:
        """Seconds to pause before the next old delivery; 0 or less means none. Call it before each."""
        if self._rests_until_s:
            return self._left_s()
        self._pieces += 1
        return self._measure() if self._pieces % PIECES == 0 else 0.0

    def _left_s(self) -> float:
        left_s = self._rests_until_s - self._monotonic_s()
        if left_s <= 0:
            self._rests_until_s = 0.0
        return left_s

    def _measure(self) -> float:
        now_s, cpu_s = self._monotonic_s(), self._cpu_s()
        took_s = now_s - self._since_s
        over_s = (cpu_s - self._cpu_before_s) / self._share - took_s
        if took_s > WINDOW_S:
            self._since_s, self._cpu_before_s = now_s, cpu_s
        if over_s < MIN_REST_S:
            return 0.0
        rest_s = min(over_s, MAX_REST_S)
        self._rests_until_s = now_s + rest_s
        return rest_s
