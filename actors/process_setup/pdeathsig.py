"""Runs a command that ends when its parent does, however the parent ends; kill -9 included.

    python die_with_parent.py PARENT_PID SIGNAL COMMAND…

Linux sends SIGNAL at the parent's death, and the setting stays over `exec` (prctl(2), PR_SET_PDEATHSIG). Elsewhere the
command just runs. Python's `preexec_fn` would do without this file, but may deadlock where the parent has threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def wrapped(command: list[str], signal_number: int) -> list[str]:
    """The command as a child of the calling process that ends with it."""
    # Isolated and without site-packages: it starts in some 10 ms.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(signal_number), *command]


def main() -> None:
    parent_pid, signal_number, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before it could be asked for
            return
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
