"""The process itself: its memory, CPU time and open files, as Linux tells them; nothing of it elsewhere."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

from actors.metrics import catalogue as m
from actors.metrics.registry import Tallies
from actors.metrics.snapshots import Number, ProcessReadings, Readings
from actors.version import PROGRAM

#: When this process began to count.
STARTED_MS: Final = time.time_ns() // 1_000_000
_INCARNATION: Final = uuid4().hex
_KIB: Final = 1024


def process_readings(process: str, tallies: Tallies, node: str = "") -> ProcessReadings:
    """All that this process has to tell. `process` is one of the catalogue's kinds. Takes some milliseconds."""
    counted = tallies.readings()
    own: list[tuple[m.Metric, float | None]] = [
        (m.STARTED, STARTED_MS / 1000),
        (m.CPU, sum(os.times()[:2])),
        (m.MEMORY, _memory_bytes()),
        (m.OPEN_FILES, _open_files()),
    ]
    numbers: list[Number] = [(metric.short_name, (process,), value) for metric, value in own if value is not None]
    return ProcessReadings(
        _INCARNATION, STARTED_MS, Readings(counted.numbers + numbers, counted.spreads), node, PROGRAM
    )


def _memory_bytes() -> float | None:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("Pss:"))) * _KIB
    return None


def _open_files() -> float | None:
    with contextlib.suppress(OSError):
        return float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    return None
