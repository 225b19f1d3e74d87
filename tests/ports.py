"""Ports: free ones for processes that tests start, no two test processes the same; and what listens at others."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

from actors.ipc.frames import HEADER
from actors.ipc.handshake import CHALLENGE, NONCE_BYTES

#: Below the kernel's ephemeral ports, which start at 32768, so that no other program gets these ports by chance.
PORTS: Final = range(20_000, 32_000)
#: Number of ports that a process reserves until it ends.
BLOCK: Final = 100


def free_port() -> int:
    """A port without a listener on this machine, which this function returns to no other process."""
    for port in itertools.islice(_mine, BLOCK):
        if _is_free(port):
            return port
    raise RuntimeError(f"all {BLOCK} ports of this process are in use")


def is_frame_server(host: str, port: int) -> bool:
    """Whether the listener greets with the challenge of an actor's server. Ray's ports in the same processes do not."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1) as sock:
        return sock.recv(HEADER.size) == HEADER.pack(NONCE_BYTES, CHALLENGE, 0)
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _rotation() -> Iterator[int]:
    """The ports of this process's block in rotation, so that a port is reused as late as possible."""
    yield from itertools.cycle(_claimed())


def _claimed() -> range:
    """Claims a block of ports for this process, by an abstract socket that the kernel removes when the process ends."""
    blocks = len(PORTS) // BLOCK
    claim = socket.socket(socket.AF_UNIX)
    for number in (os.getpid() + n for n in range(blocks)):
        block = number % blocks
        try:
            claim.bind(f"\0feedback-loops-test-ports-{block}")
        except OSError:
            continue
        claim.detach()  # stays open until the process ends
        return PORTS[block * BLOCK : (block + 1) * BLOCK]
    raise RuntimeError(f"{blocks} processes have claimed all ports for tests")


_mine = _rotation()
