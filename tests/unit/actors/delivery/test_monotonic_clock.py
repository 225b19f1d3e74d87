"""`actors.delivery.monotonic_clock`, with a system clock that is set."""

from __future__ import annotations

from actors.delivery.monotonic_clock import MonotonicWallClock


class SettableClock:
    """A clock that tests can set."""

    wall_ms = 1_000_000
    mono_s = 5.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_s(self) -> float:
        return self.mono_s

    def pass_s(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.mono_s += seconds


def test_a_clock_that_is_set() -> None:
    """It follows the system clock when that is set forward, and continues steadily when it is set back."""
    clock = SettableClock()
    time = MonotonicWallClock(clock)
    clock.pass_s(2)

    assert time.now_ms() == 1_002_000

    clock.wall_ms += 3_600_000

    assert time.now_ms() == 4_602_000

    clock.wall_ms -= 7_200_000
    clock.pass_s(1)

    assert time.now_ms() == 4_603_000
