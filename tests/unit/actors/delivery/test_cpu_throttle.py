"""`actors.delivery.cpu_throttle`: old deliveries use only a share of a core."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.delivery.cpu_throttle import MAX_REST_S, MIN_REST_S, PIECES, WINDOW_S, CpuThrottle


class Core:
    """A process with fake clocks."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.cpu_s = 7.0

    def throttle(self, share: float = 0.5) -> CpuThrottle:
        return CpuThrottle(lambda: self.now_s, lambda: self.cpu_s, share)

    def work(self, throttle: CpuThrottle, pieces: int, cpu_s: float, waits_s: float = 0.0) -> float:
        """Works with the given processor time per piece, pausing when required; returns the time paused."""
        rested_s = 0.0
        for _ in range(pieces):
            while (rest_s := throttle.rest_s()) > 0:
                rested_s += rest_s
                self.now_s += rest_s
            self.cpu_s += cpu_s
            self.now_s += cpu_s + waits_s
        return rested_s


@settings(deadline=None)
@given(share=st.floats(0.3, 0.9), cpu_s=st.floats(20e-6, 500e-6))
def test_a_busy_backlog_uses_its_share(share: float, cpu_s: float) -> None:
    """Over some seconds the processor time is the allowed share, except for pauses that would be too short."""
    core = Core()
    began_s, cpu_before_s = core.now_s, core.cpu_s
    core.work(core.throttle(share), round(3 / cpu_s), cpu_s)

    used = (core.cpu_s - cpu_before_s) / (core.now_s - began_s)
    assert used <= share + (MIN_REST_S + PIECES * cpu_s) / WINDOW_S
    assert used >= share * 0.9


@settings(deadline=None)
@given(cpu_s=st.floats(20e-6, 500e-6), waits=st.floats(1.0, 100.0))
def test_a_backlog_that_waits_for_its_handler_never_pauses(cpu_s: float, waits: float) -> None:
    """Time spent waiting counts as pause."""
    core = Core()

    assert core.work(core.throttle(share=0.5), 5000, cpu_s, waits_s=waits * cpu_s) == 0


def test_pauses_are_short() -> None:
    """Old deliveries continue soon even if other work keeps the process busy."""
    core = Core()
    throttle = core.throttle()
    core.cpu_s += 10.0
    rests_s = [throttle.rest_s() for _ in range(PIECES)]

    assert max(rests_s) == MAX_REST_S
    core.now_s += MAX_REST_S
    assert throttle.rest_s() <= 0


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour, a backlog does not get an hour of the whole core."""
    core = Core()
    throttle = core.throttle()
    core.now_s += 3600.0
    core.work(throttle, PIECES, 0.0)

    assert core.work(throttle, 2000, 100e-6) > 0.05
