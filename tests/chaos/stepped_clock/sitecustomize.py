"""Steps the wall clock of every Python process that has this directory on its path, as a test says, while it runs.

Python imports `sitecustomize` before anything else. The file named by STEPPED_CLOCK holds the step: 8 bytes, signed,
little endian, nanoseconds. What is not Python (Ray's own processes, SQLite) keeps the machine's clock.
"""

import mmap
import os
import struct
import time


def _step_by(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123  pathlib is not needed by every process from its first moment
        step = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    read, real_ns = struct.Struct("<q").unpack_from, time.time_ns

    def time_ns() -> int:
        return real_ns() + int(read(step)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if _path := os.environ.get("STEPPED_CLOCK"):
    _step_by(_path)
