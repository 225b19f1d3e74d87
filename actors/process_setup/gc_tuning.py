"""Tuning of Python's garbage collector, so that it does not stop a process for long.

A full collection visits every object while nothing else runs: for 0.1 s after the imports, for 1 s in a process with
thousands of loops. Nearly all garbage of this service is freed without it, by reference counts or by collections of
young objects, which take a millisecond. So a full collection runs when the memory of the process has grown, and not, as
in Python, when the number of objects has grown by a quarter.
"""

from __future__ import annotations

import functools
import gc
import os
from pathlib import Path
from typing import Final

#: A full collection is due when the process has grown by this share since the last one, …
GROWTH: Final = 0.25
#: … and by at least this many bytes, which garbage may therefore occupy.
LEAST_GROWTH_BYTES: Final = 64 * 1024 * 1024
#: Thresholds of the two younger generations: Python's defaults.
YOUNG: Final = 700
LOOKS: Final = 10
#: A threshold that is never reached.
NEVER: Final = 1_000_000_000

_MIDDLE: Final = 1
_FULL: Final = 2


@functools.cache
def tune_gc() -> None:
    """Exempts all present objects from collection, and from now on runs full collections as described above.

    Call it once at the start of a process, after the imports. On systems without `/proc` the schedule of full
    collections stays Python's.
    """
    gc.freeze()  # without a collection before, because imports leave no garbage that is worth 40 ms
    if (size := resident_bytes()) is not None:
        gc.callbacks.append(_GrowthWatch(size).collected)
        gc.set_threshold(YOUNG, LOOKS, NEVER)


class _GrowthWatch:
    def __init__(self, size: int) -> None:
        self._size = size

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """Callback of the collector, at the start and the end of each collection."""
        if phase != "stop" or info["generation"] < _MIDDLE:
            return
        size = resident_bytes() or 0
        if info["generation"] == _FULL:
            self._size = size
            gc.set_threshold(YOUNG, LOOKS, NEVER)
        elif size - self._size > max(self._size * GROWTH, LEAST_GROWTH_BYTES):
            gc.set_threshold(YOUNG, LOOKS, 0)  # makes the next collection a full one


def resident_bytes() -> int | None:
    """Resident memory of this process; None on systems without `/proc`."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None
