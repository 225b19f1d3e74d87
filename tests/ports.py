"""Ports for what tests start: each is for the process that asked alone, and nobody else takes it before it is used."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

#: The kernel gives whoever asks for any port one from 32768 on: a port below is not taken by chance.
PORTS: Final = range(20_000, 32_000)
#: Ports that a process gets at a time, for itself until it ends.
BLOCK: Final = 100


def free_port() -> int:
    """A port that nothing on this machine listens on, and that no other process is given by this function."""
    for port in itertools.islice(_mine, BLOCK):
        if _is_free(port):
            return port
    raise RuntimeError(f"something listens on each of the {BLOCK} ports that this process has")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _in_turns() -> Iterator[int]:
    """The ports of this process's block, again and again: what had one has most likely ended when its turn comes."""
    yield from itertools.cycle(_claimed())


def _claimed() -> range:
    """A block that no other process has: the kernel keeps a name for as long as this process lives."""
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
    raise RuntimeError(f"{blocks} processes have all the ports for tests")


_mine = _in_turns()
