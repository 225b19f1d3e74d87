"""Stepped wall clock for every Python process with this directory on its path; a test can change it at any time.

Python imports `sitecustomize` first. The file named by STEPPED_CLOCK holds the step in nanoseconds: 8 bytes, signed,
little endian. Code outside Python (Ray's C++ processes, SQLite) keep the machine's clock.
"""

import mmap
import os
import struct
import time


def _step_by(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123  avoids importing pathlib in every process
        step = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    read, real_ns = struct.Struct("<q").unpack_from, time.time_ns

    def time_ns() -> int:
        return real_ns() + int(read(step)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if _path := os.environ.get("STEPPED_CLOCK"):
    _step_by(_path)
