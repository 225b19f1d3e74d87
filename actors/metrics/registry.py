"""Metrics registry of one process: counters, gauges and histograms, looked up once and then added to directly."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from actors.commands.metrics import HistogramData, Series, Snapshot
from actors.metrics.catalogue import Kind, Metric


class Counter:
    """A number that only grows. Add to `value` directly: a method call would cost as much again as the addition."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Gauge:
    """A number that goes up and down. Assign or add to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Histogram:
    """A distribution of values over buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds: Final = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Adds a value, in the metric's unit."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Registry:
    """The metrics of one process. The same series always returns the same object, so all lanes share one counter.

    Only one thread at a time may add to a counter, gauge or histogram. A snapshot taken in another thread may miss an
    addition that is in progress.
    """

    def __init__(self) -> None:
        self._counters: dict[Series, Counter] = {}
        self._gauges: dict[Series, Gauge] = {}
        self._histograms: dict[Series, Histogram] = {}
        self._functions: dict[Series, Callable[[], float]] = {}

    def counter(self, metric: Metric, *labels: str) -> Counter:
        """The counter of a series.

        Raises:
            TypeError: the metric is of another kind.
            ValueError: a label is missing, or has a value that is not in the catalogue.
        """
        return self._counters.setdefault(_series(metric, Kind.COUNTER, labels), Counter())

    def gauge(self, metric: Metric, *labels: str) -> Gauge:
        """The gauge of a series. Raises as `counter` does."""
        return self._gauges.setdefault(_series(metric, Kind.GAUGE, labels), Gauge())

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """The histogram of a series. Raises as `counter` does."""
        return self._histograms.setdefault(_series(metric, Kind.HISTOGRAM, labels), Histogram(metric.buckets))

    def set_function(self, metric: Metric, read: Callable[[], float], *labels: str) -> None:
        """Calls `read` for the value of a counter or gauge in each snapshot. A later function replaces an earlier one.

        A series whose function raises `OSError` is left out of that snapshot.
        """
        self._functions[_series(metric, metric.kind, labels)] = read

    def snapshot(self) -> Snapshot:
        """The current values of all series."""
        numbers = [(*series, counter.value) for series, counter in self._counters.items()]
        numbers += [(*series, gauge.value) for series, gauge in self._gauges.items()]
        for series, read in self._functions.items():
            with contextlib.suppress(OSError):
                numbers.append((*series, read()))
        histograms = [(*series, HistogramData(tuple(h.counts), h.total)) for series, h in self._histograms.items()]
        return Snapshot(numbers, histograms)


def _series(metric: Metric, kind: Kind, labels: tuple[str, ...]) -> Series:
    if metric.kind is not kind:
        raise TypeError(f"{metric.name} is a {metric.kind}, not a {kind}")
    for value, allowed in zip(labels, metric.labels.values(), strict=True):
        if value not in allowed:
            raise ValueError(f"{metric.name} has no label value {value!r}")
    return metric.short_name, labels
