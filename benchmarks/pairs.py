"""Comparison of two versions that were measured in the same rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

AGAINST: Final = "against"
THIS: Final = "this"
#: Largest allowed ratio of a figure to the other version's.
MAX_RATIO: Final = 1.03


class Figures(NamedTuple):
    """One version's figures of one round, by name."""

    #: Figures that are sums over all processes, with the share of each kind of process.
    sums: dict[str, dict[str, float]]
    others: dict[str, float]

    def all(self) -> dict[str, float]:
        return {name: sum(parts.values()) for name, parts in self.sums.items()} | self.others


#: Both versions' figures of one round.
Round = Mapping[str, Figures]


def turns(sides: Sequence[str], blocks: int) -> Iterator[str]:
    """Yields A B B A A B …, with this many blocks of each, so that a change of the machine's speed affects both."""
    for number in range(blocks):
        yield from sides if number % 2 == 0 else reversed(sides)


def compared(rounds: Sequence[Round]) -> dict[str, Any]:
    """Returns both versions' figures, and the shares of the sums."""
    first = rounds[0][THIS]
    return {
        "figures": {name: _compared(rounds, name) for name in first.all()},
        "by_kind_of_process": {name: _parts(rounds, name) for name in first.sums},
    }


def _compared(rounds: Sequence[Round], name: str) -> dict[str, Any]:
    """Returns the medians of the figure, and the median, smallest and largest of the rounds' ratios."""
    against = [taken[AGAINST].all()[name] for taken in rounds]
    this = [taken[THIS].all()[name] for taken in rounds]
    ratios = [mine / other for other, mine in zip(against, this, strict=True)]
    return {
        AGAINST: round(statistics.median(against), 2),
        THIS: round(statistics.median(this), 2),
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def is_more(figure: Mapping[str, Any]) -> bool:
    """Whether this version has more: the median ratio is above `MAX_RATIO`, and every round's ratio is above 1.

    The median can be above `MAX_RATIO` by chance, because rounds differ by more than that on a busy machine. With two
    equal versions, all of five ratios are above 1 in only one of 32 runs.
    """
    return bool(figure["ratio"] > MAX_RATIO and figure["spread"][0] > 1)


def _parts(rounds: Sequence[Round], name: str) -> dict[str, dict[str, float]]:
    """Returns the medians of both versions by kind of process; 0 if a version has no process of a kind."""
    kinds = {kind for taken in rounds for figures in taken.values() for kind in figures.sums[name]}
    return {
        kind: {
            side: round(statistics.median(taken[side].sums[name].get(kind, 0.0) for taken in rounds), 2)
            for side in (AGAINST, THIS)
        }
        for kind in sorted(kinds)
    }
