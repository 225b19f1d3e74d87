"""`domain.statistics`."""

from __future__ import annotations

import random

import pytest

from domain.statistics import ANSWERS, BOUNDS_MS, BUCKETS, answer_class, bucket, percentile_ms


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (200, "2xx"),
        (299, "2xx"),
        (302, "3xx"),
        (404, "4xx"),
        (503, "5xx"),
        (None, "none"),
        (101, "none"),
        (600, "none"),
    ],
)
def test_responses_are_classed_by_their_hundreds(status: int | None, name: str) -> None:
    """A missing response, or a status outside HTTP's classes, is `none`."""
    assert ANSWERS[answer_class(status)] == name


@pytest.mark.parametrize(("duration_ms", "expected"), [(0, 0), (5, 0), (6, 1), (15_000, 10), (15_001, 11), (10**9, 11)])
def test_a_bucket_includes_its_bound(duration_ms: int, expected: int) -> None:
    """Every duration has one bucket."""
    assert bucket(duration_ms) == expected


def test_percentiles_are_within_their_bucket() -> None:
    """An estimate stays within its bucket's bounds, and grows with the share."""
    chance = random.Random(1)
    for _ in range(200):
        durations = sorted(chance.choice([3, 40, 900, 20_000]) * chance.random() for _ in range(chance.randint(1, 50)))
        buckets = [0] * BUCKETS
        for duration in durations:
            buckets[bucket(round(duration))] += 1
        estimates = [percentile_ms(buckets, share) for share in (0.0, 0.5, 0.95, 1.0)]
        assert estimates == sorted(estimate for estimate in estimates if estimate is not None)
        truth = durations[max(0, -(-len(durations) // 2) - 1)]
        at = bucket(round(truth))
        low = BOUNDS_MS[at - 1] if at else 0
        high = BOUNDS_MS[at] if at < len(BOUNDS_MS) else 2 * low
        assert estimates[1] is not None
        assert low <= estimates[1] <= high


def test_no_data_has_no_percentile() -> None:
    """The result is None and not zero."""
    assert percentile_ms([0] * BUCKETS, 0.5) is None
