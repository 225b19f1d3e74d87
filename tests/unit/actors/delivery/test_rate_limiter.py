"""`actors.delivery.rate_limiter` and `actors.delivery.monotonic_clock`: waiting by the clock."""

from __future__ import annotations

import random

import pytest

from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.rate_limiter import RateLimiter


@pytest.mark.parametrize("rate", [0.4, 1.0, 2.5, 20.0, 150.0])
def test_no_second_has_more_than_the_rate_and_one(rate: float) -> None:
    """Whatever the delays between the time for a start and the start, and restarts; and the rate is reached."""
    rng, now_s, starts = random.Random(rate), 0.0, list[float]()
    rate_limiter = RateLimiter(rate, now_s)
    while now_s < 60:
        wait_s = rate_limiter.wait_s(now_s)
        if wait_s > 0:
            now_s += wait_s + rng.choice([0, 0, 0.001, 0.02, 0.3 / rate])
            continue
        rate_limiter.start(now_s)
        starts.append(now_s)
        if rng.random() < 0.02:
            rate_limiter = RateLimiter(rate, now_s)  # another process
    for n, start in enumerate(starts):
        assert sum(start <= other < start + 1 - 1e-9 for other in starts[n:]) <= rate + 1
    assert len(starts) > 60 * rate * 0.7


def test_the_rate_may_change() -> None:
    """The next start keeps to the new rate, and not to what is left of the old one's gap."""
    rate_limiter = RateLimiter(0.001, 0.0)
    rate_limiter.start(1.0)

    assert rate_limiter.wait_s(1.0) > 900

    rate_limiter.rate = 10.0

    assert rate_limiter.wait_s(1.5) <= 0

    rate_limiter.rate = None

    assert rate_limiter.wait_s(1.0) == 0


class SetClock:
    """A clock that is set."""

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
    """Set forward it is followed; set back, time goes on as if it were not."""
    clock = SetClock()
    time = MonotonicWallClock(clock)
    clock.pass_s(2)

    assert time.now_ms() == 1_002_000

    clock.wall_ms += 3_600_000

    assert time.now_ms() == 4_602_000

    clock.wall_ms -= 7_200_000
    clock.pass_s(1)

    assert time.now_ms() == 4_603_000
