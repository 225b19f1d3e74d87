"""Python's collector of garbage cycles, kept from stopping a process for long.

A full collection looks at every object there is, and nothing else runs meanwhile: a tenth of a second for what is
imported, a second for a process with thousands of loops. Nearly all that this service lets go of is freed without it,
by reference counts, or by the collections of young objects, which take a millisecond. So a full one is made when the
memory of the process has grown, and not, as Python does, when there are a quarter more objects.
"""

from __future__ import annotations

import functools
import gc
import os
from pathlib import Path
from typing import Any, Final

#: A full collection is due when the process is larger by so much than after the last: by this part, but at least …
GROWTH: Final = 0.25
#: … by these bytes, which so is also what garbage can take.
LEAST_GROWTH_BYTES: Final = 64 * 1024 * 1024
#: Young objects before they are looked at, and such looks before those that survived one are: Python's own values.
YOUNG: Final = 700
LOOKS: Final = 10
#: More than there will ever be.
NEVER: Final = 1_000_000_000

_MIDDLE: Final = 1
_FULL: Final = 2


@functools.cache
def tame() -> None:
    """Takes what is loaded by now out of the collector's sight, and from now on has full collections made as above.

    For the start of a process, when it has imported what it needs; once is enough. Where the system does not tell the
    memory of a process (no `/proc`), full collections stay Python's.
    """
    gc.collect()
    gc.freeze()
    if (size := resident_bytes()) is not None:
        gc.callbacks.append(_Watch(size).collected)
        gc.set_threshold(YOUNG, LOOKS, NEVER)


class _Watch:
    def __init__(self, size: int) -> None:
        self._size = size

    def collected(self, phase: str, info: dict[str, Any]) -> None:
        """What the collector calls at the start and the end of each collection."""
        if phase != "stop" or info["generation"] < _MIDDLE:
            return
        size = resident_bytes() or 0
        if info["generation"] == _FULL:
            self._size = size
            gc.set_threshold(YOUNG, LOOKS, NEVER)
        elif size - self._size > max(self._size * GROWTH, LEAST_GROWTH_BYTES):
            gc.set_threshold(YOUNG, LOOKS, 0)  # the next one is a full one


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None
