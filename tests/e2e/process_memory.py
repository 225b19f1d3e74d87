"""Memory of running processes, to search it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def memory(pid: int) -> Iterator[bytes]:
    """The private memory of a process, mapping by mapping."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found is None or "/dev/shm" in line:
                continue
            start, end = int(found[1], 16), int(found[2], 16)
            try:
                mem.seek(start)
                yield mem.read(end - start)
            except (OSError, ValueError, OverflowError):  # a mapping that the kernel does not show
                continue
