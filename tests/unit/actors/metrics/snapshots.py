"""Helpers that build metrics snapshots from plain values and read them back."""

from __future__ import annotations

from typing import Any

from actors.commands.metrics import Snapshot
from actors.metrics.snapshots import ProcessSnapshot

SINCE_MS = 1_000


def snapshot_of(
    numbers: dict[tuple[str, ...], float], incarnation: str = "a", started_ms: int = SINCE_MS, *histograms: Any
) -> ProcessSnapshot:
    """Snapshot of a process; keys are a metric's short name and its labels."""
    rows = [(name, labels, value) for (name, *rest), value in numbers.items() for labels in [tuple(rest)]]
    return ProcessSnapshot(incarnation, started_ms, Snapshot(rows, list(histograms)))


def numbers(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    return {(name, *labels): value for name, labels, value in snapshot.numbers}
