"""Counting: plain additions to cells that are looked up once. They become readings when somebody asks."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from actors.metrics.catalogue import Kind, Metric
from actors.metrics.snapshots import Readings, Series, Spread


class Cell:
    """One number. Add to `value`: a method would cost as much again as the addition."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Histogram:
    """How values spread over buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds: Final = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Takes a value, in the metric's unit."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Tallies:
    """The cells of one process. Whoever asks for the same series gets the same cell, so many lanes count together.

    A cell may be added to by one thread at a time; reading from another may miss what is being added.
    """

    def __init__(self) -> None:
        self._cells: dict[Series, Cell] = {}
        self._histograms: dict[Series, Histogram] = {}
        self._gauges: dict[Series, Callable[[], float]] = {}

    def cell(self, metric: Metric, *labels: str) -> Cell:
        """The cell of a counter, or of a gauge that goes up and down by additions."""
        if metric.kind is Kind.HISTOGRAM:
            raise TypeError(f"{metric.name} is a histogram")
        return self._cells.setdefault(_series(metric, labels), Cell())

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """The cell of a histogram."""
        if metric.kind is not Kind.HISTOGRAM:
            raise TypeError(f"{metric.name} is no histogram")
        return self._histograms.setdefault(_series(metric, labels), Histogram(metric.buckets))

    def read_by(self, metric: Metric, read: Callable[[], float], *labels: str) -> None:
        """Has a number read when it is asked for; a series has one such reader, the latest."""
        self._gauges[_series(metric, labels)] = read

    def readings(self) -> Readings:
        """All of it as it is now. What the operating system does not tell is left out."""
        numbers = [(*series, cell.value) for series, cell in self._cells.items()]
        for series, read in self._gauges.items():
            with contextlib.suppress(OSError):
                numbers.append((*series, read()))
        spreads = [(*series, Spread(tuple(h.counts), h.total)) for series, h in self._histograms.items()]
        return Readings(numbers, spreads)


def _series(metric: Metric, labels: tuple[str, ...]) -> Series:
    """The series' key.

    Raises:
        ValueError: a label is missing, or has a value that the catalogue does not have.
    """
    for value, allowed in zip(labels, metric.labels.values(), strict=True):
        if value not in allowed:
            raise ValueError(f"{metric.name} has no label value {value!r}")
    return metric.short_name, labels
