"""Ratios of two versions, round by round."""

from __future__ import annotations

import pytest

from benchmarks.pairs import AGAINST, THIS, Figures, Round, compared, is_more, turns


def test_versions_take_turns() -> None:
    """Both have the same number of blocks, and for an even number the same mean position."""
    assert list(turns("AB", 1)) == ["A", "B"]
    assert list(turns("AB", 4)) == ["A", "B", "B", "A", "A", "B", "B", "A"]


def round_of(against: float, this: float) -> Round:
    return {
        AGAINST: Figures({"cpu": {"ledger": against / 2, "loops": against / 2}}, {"p99": 8.0}),
        THIS: Figures({"cpu": {"ledger": this}}, {"p99": 4.0}),
    }


def test_versions_are_compared_round_by_round() -> None:
    """The ratio is the median of the rounds' ratios, not the ratio of the medians."""
    result = compared([round_of(100, 110), round_of(200, 202), round_of(400, 420)])
    assert result["figures"] == {
        "cpu": {AGAINST: 200, THIS: 202, "ratio": 1.05, "spread": [1.01, 1.1]},
        "p99": {AGAINST: 8.0, THIS: 4.0, "ratio": 0.5, "spread": [0.5, 0.5]},
    }
    assert result["by_kind_of_process"] == {
        "cpu": {"ledger": {AGAINST: 100, THIS: 202}, "loops": {AGAINST: 100, THIS: 0}}
    }


@pytest.mark.parametrize(
    ("ratio", "spread", "more"),
    [
        (1.05, [1.01, 1.2], True),
        (1.05, [0.99, 1.2], False),
        (1.03, [1.01, 1.2], False),
        (0.9, [0.8, 0.95], False),
    ],
)
def test_a_difference_needs_the_median_and_every_round(ratio: float, spread: list[float], more: bool) -> None:
    """One of the two can be chance."""
    assert is_more({"ratio": ratio, "spread": spread}) is more
