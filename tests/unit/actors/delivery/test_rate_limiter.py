"""`actors.delivery.rate_limiter`: starts per second."""

from __future__ import annotations

import random

import pytest

from actors.delivery.rate_limiter import RateLimiter


@pytest.mark.parametrize("rate", [0.4, 1.0, 2.5, 20.0, 150.0])
def test_no_second_has_more_than_the_rate_and_one(rate: float) -> None:
    """Late starts and restarts never exceed the rate, and the rate is reached."""
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
            rate_limiter = RateLimiter(rate, now_s)  # a restart
    for n, start in enumerate(starts):
        assert sum(start <= other < start + 1 - 1e-9 for other in starts[n:]) <= rate + 1
    assert len(starts) > 60 * rate * 0.7


def test_the_rate_may_change() -> None:
    """The next start follows the new rate, not the rest of the former gap."""
    rate_limiter = RateLimiter(0.001, 0.0)
    rate_limiter.start(1.0)

    assert rate_limiter.wait_s(1.0) > 900

    rate_limiter.rate = 10.0

    assert rate_limiter.wait_s(1.5) <= 0

    rate_limiter.rate = None

    assert rate_limiter.wait_s(1.0) == 0
