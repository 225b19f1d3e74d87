"""Accumulator of the metrics of processes that restart: their counters and histograms as sums that never fall."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from actors.commands.metrics import HistogramData, Series, Snapshot
from actors.metrics.catalogue import BY_NAME, Kind, Merge, fits
from actors.metrics.snapshots import ProcessSnapshot

#: Number of ended processes whose last snapshot is kept.
MAX_GONE: Final = 256


class Accumulator:
    """Sums the counters and histograms of processes; the sums never fall while this object lives.

    A restarted process counts from 0 again. What it had counted at its last snapshot stays in the sum; what it counted
    after that snapshot is lost. Processes that are older than this object are counted from their first snapshot on, so
    the sums begin at 0 when this object's own process restarts, as Prometheus expects of a counter.
    """

    def __init__(self, since_ms: int) -> None:
        """`since_ms`: processes started at this Unix time or later are counted from their start."""
        self._since_ms = since_ms
        self._last: dict[str, ProcessSnapshot] = {}
        self._numbers: dict[Series, float] = {}
        self._histograms: dict[Series, HistogramData] = {}

    def add(self, name: str, process: ProcessSnapshot) -> bool:
        """Adds what the process counted since its last snapshot. Returns whether it restarted since then."""
        before = self._last.pop(name, None)
        self._last[name] = process  # moves the name to the end of the order
        is_new = before is None or before.incarnation != process.incarnation
        if before is None and process.started_ms < self._since_ms:
            self._add(process.snapshot, process.snapshot)  # adds 0, so that each series exists from now on
        elif before is None or is_new:
            self._add(process.snapshot, Snapshot([], []))
        else:
            self._add(process.snapshot, before.snapshot)
        return before is not None and is_new

    def prune(self, names: Collection[str]) -> None:
        """Forgets processes that are not among `names`, oldest snapshot first, but keeps the latest `MAX_GONE`.

        A process that is away for a while then continues from its last snapshot. The sums do not change.
        """
        gone = [name for name in self._last if name not in names]
        for name in gone[: max(len(gone) - MAX_GONE, 0)]:
            del self._last[name]

    def snapshot(self) -> Snapshot:
        """The sums."""
        return Snapshot(
            [(*series, value) for series, value in self._numbers.items()],
            [(*series, data) for series, data in self._histograms.items()],
        )

    def _add(self, now: Snapshot, before: Snapshot) -> None:
        numbers = {(name, labels): value for name, labels, value in before.numbers}
        for name, labels, value in now.numbers:
            if name in BY_NAME and BY_NAME[name].kind is Kind.COUNTER:
                series = (name, labels)
                gained = value - numbers.get(series, 0.0)
                self._numbers[series] = self._numbers.get(series, 0.0) + max(gained, 0.0)
        histograms = {(name, labels): data for name, labels, data in before.histograms}
        for name, labels, data in now.histograms:
            series = (name, labels)
            self._histograms[series] = _sum(self._histograms.get(series), _difference(data, histograms.get(series)))


def known_series(snapshot: Snapshot) -> Snapshot:
    """The series that match the catalogue; a process of another version may send others."""
    return Snapshot(
        [number for number in snapshot.numbers if fits(*number[:2])],
        [histogram for histogram in snapshot.histograms if fits(*histogram[:2], len(histogram[2].counts))],
    )


def merge_gauges(processes: Mapping[str, ProcessSnapshot]) -> Snapshot:
    """The gauges of several processes, merged as the catalogue says."""
    merged: dict[Series, float] = {}
    for process in processes.values():
        for name, labels, value in process.snapshot.numbers:
            if name not in BY_NAME or BY_NAME[name].kind is not Kind.GAUGE:
                continue
            series = (name, labels)
            known = merged.get(series)
            if known is None:
                merged[series] = value
            else:
                merged[series] = max(known, value) if BY_NAME[name].merge is Merge.MAX else known + value
    return Snapshot([(*series, value) for series, value in merged.items()], [])


def _difference(now: HistogramData, before: HistogramData | None) -> HistogramData:
    if before is None:
        return now
    return HistogramData(tuple(n - b for n, b in zip(now.counts, before.counts, strict=True)), now.total - before.total)


def _sum(one: HistogramData | None, other: HistogramData) -> HistogramData:
    if one is None:
        return other
    return HistogramData(tuple(n + b for n, b in zip(one.counts, other.counts, strict=True)), one.total + other.total)
