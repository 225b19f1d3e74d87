"""Parent's part of socket activation: it holds a listening socket and passes it to the program that it starts."""

from __future__ import annotations

import socket
import sys
from typing import Final

#: Puts descriptors from 3 on, as systemd does, and becomes the program. LISTEN_PID is the program's own id.
_LAUNCHER: Final = """
import fcntl, os, sys
count, *descriptors = map(int, sys.argv[1].split(","))
copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100) for descriptor in descriptors]
for at, copy in enumerate(copies, 3):
    os.dup2(copy, at)
os.closerange(3 + len(copies), 256)
os.environ |= {"LISTEN_FDS": str(count), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "http"}
os.execvp(sys.argv[2], sys.argv[2:])
"""


def held_socket(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket with a queue as long as the kernel allows, like a systemd socket unit's."""
    return socket.create_server((host, port), backlog=4096)


def passing(*held: socket.socket, count: int | None = None) -> list[str]:
    """The start of a command whose rest gets the sockets; `count` is a false number of them.

    The caller also lists the sockets in `pass_fds`.
    """
    numbers = [len(held) if count is None else count, *(each.fileno() for each in held)]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, ",".join(map(str, numbers))]
