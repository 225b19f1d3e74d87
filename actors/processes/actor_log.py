"""Output of Ray's processes: all of it goes to a file, and the log lines of our actors to this process's stderr, too.

The actors' lines are what an operator needs, and the file lasts only until the next but one start of Ray. They come
through a pipe, so a full disk loses none of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Final

#: How the lines of both formats begin (`logging_setup.FORMATS`). Ray's own lines begin otherwise.
_STARTS: Final = (b"time=", b'{"time": ')
_MAX_LINE_BYTES: Final = 64 * 1024


class ActorLog:
    """A pipe for the output of processes, read by a thread until the last of them has ended."""

    def __init__(self, file: Path) -> None:
        self._read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._copy, args=(file,), name="actor log", daemon=True)
        self._thread.start()

    def close_write_end(self) -> None:
        """Leaves the pipe to the processes that have inherited it."""
        os.close(self.write_fd)

    def join(self, timeout_s: float) -> None:
        """Waits until everything has been copied."""
        self._thread.join(timeout_s)

    def _copy(self, file: Path) -> None:
        with os.fdopen(self._read_fd, "rb") as pipe, contextlib.ExitStack() as stack:
            kept: BinaryIO | None = None
            with contextlib.suppress(OSError):
                kept = stack.enter_context(file.open("ab", buffering=0))
            while line := pipe.readline(_MAX_LINE_BYTES):
                with contextlib.suppress(OSError):  # the disk is full
                    if kept is not None:
                        kept.write(line)
                if line.startswith(_STARTS):
                    with contextlib.suppress(OSError, ValueError):
                        sys.stderr.buffer.write(line)
                        sys.stderr.buffer.flush()
