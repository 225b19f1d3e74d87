"""Loop of a process that works on mails, one after the other, within limits on memory and CPU time.

    python -m MODULE MEMORY_BYTES CPU_SECONDS

Reads requests from standard input and writes responses to standard output, both as 4 bytes of length and MessagePack.
The first response is empty: it shows that the process is ready. Ends when its standard input ends.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

from actors.returned_mail.frames import LENGTH_BYTES, frame


def run(respond: Callable[[bytes], bytes]) -> None:
    """Responds to requests until there are no more."""
    memory_bytes, cpu_s = int(sys.argv[1]), int(sys.argv[2])
    # The parent decides when this process ends, not a key press.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _serve(respond, sys.stdin.buffer, sys.stdout.buffer, cpu_s)


def _serve(respond: Callable[[bytes], bytes], requests: BinaryIO, responses: BinaryIO, cpu_s: int) -> None:
    _write(responses, b"")
    while len(length := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        payload = requests.read(int.from_bytes(length, "big"))
        _limit_cpu(cpu_s)
        _write(responses, respond(payload))


def _limit_cpu(cpu_s: int) -> None:
    """Ends the process after so many more seconds of CPU time (SIGXCPU). The limit counts from the process's start."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _write(responses: BinaryIO, payload: bytes) -> None:
    responses.write(frame(payload))
    responses.flush()
