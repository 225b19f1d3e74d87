"""Parent death signal: runs a command that is killed when its parent ends, even by kill -9.

    python pdeathsig.py PARENT_PID SIGNAL COMMAND…

Linux sends SIGNAL when the parent dies; the setting survives `exec` (prctl(2), PR_SET_PDEATHSIG). On other systems the
command just runs. Python's `preexec_fn` could do this without a separate file, but can deadlock if the parent has
threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def killed_with_parent(command: list[str], signal_number: int) -> list[str]:
    """The command line of a child that is killed when the calling process dies."""
    # Isolated and without site-packages, it starts in about 10 ms.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(signal_number), *command]


def main() -> None:
    parent_pid, signal_number, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent died before the setting took effect
            return
    os.execv(command[0], command)  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()
