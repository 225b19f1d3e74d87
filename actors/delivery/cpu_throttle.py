"""How much of a core a process spends on what is old, so that a backlog leaves room for all that is fresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: The part of one core, 0 to 1. A backlog still drains faster than events can come in: see `benchmarks/drain.py`.
SHARE: Final = 0.55
#: Seconds over which the share is kept: what was not used up longer ago is forfeited.
WINDOW_S: Final = 0.05
#: A rest shorter than this costs more than it gives.
MIN_REST_S: Final = 0.002
#: However busy the process is with what is fresh, the old has its turn after this.
MAX_REST_S: Final = 0.02
#: Looking at the clocks costs a microsecond: they are looked at after so many pieces of work.
PIECES: Final = 8


class CpuThrottle:
    """Says when background work is to rest, from the processor time that the process has used.

    A slow handler costs no time, so what waits for one never rests; what could use a core alone rests now and then, in
    many short breaks, in which other processes find the processor and the disk free. One for a process: all lanes in it
    share it.
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
        """Seconds to rest before the next piece of background work; 0 or less: it may begin. Asked before each."""
        if self._rests_until_s:
            return self._left_s()
        self._pieces += 1
        return self._look() if self._pieces % PIECES == 0 else 0.0

    def _left_s(self) -> float:
        left_s = self._rests_until_s - self._monotonic_s()
        if left_s <= 0:
            self._rests_until_s = 0.0
        return left_s

    def _look(self) -> float:
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
