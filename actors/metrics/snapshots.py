"""What a process tells of itself, as it crosses to others."""

from __future__ import annotations

from actors.compatibility import Crossing

#: Name of a metric (`Metric.short_name`) and the values of its labels, in their order.
Series = tuple[str, tuple[str, ...]]
#: A series with its number.
Number = tuple[str, tuple[str, ...], float]


class Spread(Crossing, array_like=True, frozen=True):
    """What a histogram holds: how many fell into each bucket (the last takes everything), and their sum."""

    counts: tuple[int, ...]
    total: float


class Readings(Crossing, array_like=True, frozen=True):
    """Every series of a process or of many: numbers of counters and gauges, spreads of histograms."""

    numbers: list[Number]
    spreads: list[tuple[str, tuple[str, ...], Spread]]


class ProcessReadings(Crossing, array_like=True, frozen=True):
    """The readings of one process. Another `incarnation` under the same name began to count anew."""

    incarnation: str
    #: Unix time, milliseconds.
    started_ms: int
    readings: Readings
    #: Ray's id of the node that it is on; empty where nobody asked.
    node: str = ""
    #: `actors.version.PROGRAM` of the process; empty of one that does not say.
    version: str = ""
