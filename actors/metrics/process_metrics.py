"""Metrics of the process itself: memory, CPU time and open files, read from Linux's `/proc`; absent elsewhere."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

from actors.commands.metrics import Number, Snapshot
from actors.metrics import catalogue as m
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from actors.version import PROGRAM

#: Unix time at which this process began to count.
STARTED_MS: Final = time.time_ns() // 1_000_000
_INCARNATION: Final = uuid4().hex
_KIB: Final = 1024


def process_snapshot(process: str, registry: Registry, node: str = "") -> ProcessSnapshot:
    """All metrics of this process. Takes some milliseconds.

    Args:
        process: One of the catalogue's kinds of processes.
        registry: What the process counts.
        node: Ray's id of the node that the process runs on.
    """
    counted = registry.snapshot()
    measured: list[tuple[m.Metric, float | None]] = [
        (m.STARTED, STARTED_MS / 1000),
        (m.CPU, sum(os.times()[:2])),
        (m.MEMORY, _memory_bytes()),
        (m.OPEN_FILES, _open_files()),
    ]
    numbers: list[Number] = [(metric.short_name, (process,), value) for metric, value in measured if value is not None]
    snapshot = Snapshot(counted.numbers + numbers, counted.histograms)
    return ProcessSnapshot(_INCARNATION, STARTED_MS, snapshot, node, PROGRAM)


def _memory_bytes() -> float | None:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("Pss:"))) * _KIB
    return None


def _open_files() -> float | None:
    with contextlib.suppress(OSError):
        return float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    return None
