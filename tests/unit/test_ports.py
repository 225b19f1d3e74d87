"""Ports for programs that tests start."""

from __future__ import annotations

import socket
import subprocess
import sys

from tests.paths import ROOT
from tests.ports import BLOCK, PORTS, free_port

MANY = "from tests.ports import free_port; print([free_port() for _ in range(3)])"


def test_no_two_processes_get_the_same_ports() -> None:
    """Ports of processes that run at the same time do not overlap."""
    mine = {free_port() for _ in range(BLOCK)}
    done = subprocess.run([sys.executable, "-c", MANY], cwd=ROOT, capture_output=True, text=True, check=True)
    others = set(map(int, done.stdout.strip("[]\n").split(", ")))

    assert len(others) == 3
    assert mine & others == set()
    assert mine | others <= set(PORTS)


def test_a_port_in_use_is_left_out() -> None:
    """A port with a listener on any address is not handed out."""
    port = free_port()
    with socket.create_server(("127.0.0.3", port)):
        assert port not in {free_port() for _ in range(BLOCK)}
    assert port in {free_port() for _ in range(BLOCK)}
