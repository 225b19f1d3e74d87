"""Metrics of the service: what all processes behind the front end count and measure."""

from __future__ import annotations

from actors.commands.command import Command
from actors.compatibility import WireStruct

#: A metric's `short_name` and the values of its labels, in the catalogue's order.
Series = tuple[str, tuple[str, ...]]
#: A series with its value.
Number = tuple[str, tuple[str, ...], float]


class HistogramData(WireStruct, array_like=True, frozen=True):
    """The contents of a histogram: the number of values in each bucket, and the sum of all values.

    The last bucket has no upper bound.
    """

    counts: tuple[int, ...]
    total: float


class Snapshot(WireStruct, array_like=True, frozen=True):
    """All series of one process, or of several processes together."""

    #: Counters and gauges.
    numbers: list[Number]
    histograms: list[tuple[str, tuple[str, ...], HistogramData]]


class ReadMetrics(Command[Snapshot], frozen=True, kw_only=True):
    """Reads the metrics of all processes behind the front end.

    Answers within seconds; processes that do not answer in time are left out.
    """
