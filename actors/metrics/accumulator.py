"""Figures of processes that come and go, as if they were one process that stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from actors.metrics.catalogue import BY_NAME, Kind, Merge, fits
from actors.metrics.snapshots import ProcessReadings, Readings, Series, Spread

#: Processes that are gone and remembered.
MAX_GONE: Final = 256


class Totals:
    """Sums the counters and histograms of processes so that they never fall while this object lives.

    A process that is restarted counts from 0 again: what it had counted when it was last looked at stays in the sum,
    what it counted after that is lost. Processes that are older than this object are counted from their first look on.
    So when this object's own process is restarted the sums begin at 0, as Prometheus expects of a counter.
    """

    def __init__(self, since_ms: int) -> None:
        """`since_ms`: Unix time from which on all that is counted belongs to the sum."""
        self._since_ms = since_ms
        self._last: dict[str, ProcessReadings] = {}
        self._numbers: dict[Series, float] = {}
        self._spreads: dict[Series, Spread] = {}

    def take(self, name: str, told: ProcessReadings) -> bool:
        """Adds what the process of that name has counted since it was last looked at. True: it was restarted."""
        before = self._last.pop(name, None)
        self._last[name] = told  # now the last in order
        is_new = before is None or before.incarnation != told.incarnation
        if before is None and told.started_ms < self._since_ms:
            self._add(told.readings, told.readings)  # each series is there from the first look on, at 0
        elif before is None or is_new:
            self._add(told.readings, Readings([], []))
        else:
            self._add(told.readings, before.readings)
        return before is not None and is_new

    def prune(self, names: Collection[str]) -> None:
        """Forgets processes that are not among `names`, those first that were not heard of for the longest time.

        The latest `MAX_GONE` are kept: one that is away for a while goes on from where it was. What was counted stays.
        """
        gone = [name for name in self._last if name not in names]
        for name in gone[: max(len(gone) - MAX_GONE, 0)]:
            del self._last[name]

    def readings(self) -> Readings:
        """The sums."""
        return Readings(
            [(*series, value) for series, value in self._numbers.items()],
            [(*series, spread) for series, spread in self._spreads.items()],
        )

    def _add(self, now: Readings, before: Readings) -> None:
        numbers = {(name, labels): value for name, labels, value in before.numbers}
        for name, labels, value in now.numbers:
            if name in BY_NAME and BY_NAME[name].kind is Kind.COUNTER:
                series = (name, labels)
                gained = value - numbers.get(series, 0.0)
                self._numbers[series] = self._numbers.get(series, 0.0) + max(gained, 0.0)
        spreads = {(name, labels): spread for name, labels, spread in before.spreads}
        for name, labels, spread in now.spreads:
            series = (name, labels)
            self._spreads[series] = _sum(self._spreads.get(series), _difference(spread, spreads.get(series)))


def fitting(readings: Readings) -> Readings:
    """Those series that the catalogue has: a process of another version may tell others, or some in another shape."""
    return Readings(
        [number for number in readings.numbers if fits(*number[:2])],
        [spread for spread in readings.spreads if fits(*spread[:2], len(spread[2].counts))],
    )


def merged_gauges(told: Mapping[str, ProcessReadings]) -> Readings:
    """The gauges of processes, by name, as the catalogue merges them."""
    merged: dict[Series, float] = {}
    for readings in told.values():
        for name, labels, value in readings.readings.numbers:
            if name not in BY_NAME or BY_NAME[name].kind is not Kind.GAUGE:
                continue
            series = (name, labels)
            known = merged.get(series)
            if known is None:
                merged[series] = value
            else:
                merged[series] = max(known, value) if BY_NAME[name].merge is Merge.MAX else known + value
    return Readings([(*series, value) for series, value in merged.items()], [])


def _difference(now: Spread, before: Spread | None) -> Spread:
    if before is None:
        return now
    return Spread(tuple(n - b for n, b in zip(now.counts, before.counts, strict=True)), now.total - before.total)


def _sum(one: Spread | None, other: Spread) -> Spread:
    if one is None:
        return other
    return Spread(tuple(n + b for n, b in zip(one.counts, other.counts, strict=True)), one.total + other.total)
