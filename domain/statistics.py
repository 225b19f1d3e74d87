"""Counts of attempts per minute, and the percentiles that are computed from them.

Durations are counted in buckets, so that the size does not depend on the number of attempts, and minutes can be added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

#: Classes of answers: 2xx, 3xx, 4xx, 5xx, and no answer or another status.
ANSWERS: Final = ("2xx", "3xx", "4xx", "5xx", "none")
#: Upper bounds of the buckets in milliseconds; the last one has none.
BOUNDS_MS: Final = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 15000)
BUCKETS: Final = len(BOUNDS_MS) + 1
#: Minutes that are kept: a day, and an hour for viewers whose clocks are wrong.
KEPT_MINUTES: Final = 25 * 60
MINUTE_MS: Final = 60_000

#: Nothing counted yet: the answers, then the buckets.
NOTHING: Final = (0,) * (len(ANSWERS) + BUCKETS)


def answer_class(status: int | None) -> int:
    """The index in `ANSWERS`."""
    return status // 100 - 2 if status is not None and 200 <= status < 600 else len(ANSWERS) - 1


def bucket(duration_ms: int) -> int:
    """The index of the bucket that a duration belongs to."""
    return bisect_left(BOUNDS_MS, duration_ms)


def percentile_ms(buckets: Sequence[int], share: float) -> float | None:
    """The approximate duration that this share of the attempts did not exceed; None without attempts.

    Durations within a bucket count as spread evenly, and the last bucket as ending at twice its lower bound.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted = share * total
    at, before = 0, 0
    for at, upto in enumerate(accumulate(buckets)):
        if upto >= wanted and buckets[at]:
            break
        before = upto
    low = BOUNDS_MS[at - 1] if at else 0
    high = BOUNDS_MS[at] if at < len(BOUNDS_MS) else 2 * low
    return low + (high - low) * min(max((wanted - before) / (buckets[at] or 1), 0.0), 1.0)
