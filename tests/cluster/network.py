"""Networks of a test cluster: one between its machines, and one over which clients reach its front ends.

Both are kernel bridges with addresses that RFC 2544 reserves for tests (198.18.0.0/15), without a route to other
networks. A machine has a cable to each. When a cable is pulled, packets are lost, and neither side gets an error.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Host number of the machine that runs the test, on each network.
OWN_NUMBER = 254


def reason_to_skip() -> str | None:
    """Why networks cannot be created here, or None if they can."""
    if os.geteuid() != 0:
        return "creating a network needs root"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "ip", "link", "add", "type", "veth"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no network can be created: {tried.stderr.strip()}" if tried.returncode else None


def run(*command: object) -> str:
    """Runs a command, which must succeed, and returns its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Cable:
    """A machine's connection to one network."""

    bridge: str
    #: Name of the interface that is connected to the bridge.
    plug: str

    def pull(self) -> None:
        """Drops all packets from now on, without an error to either side."""
        run("ip", "link", "set", self.plug, "down")

    def put_back(self) -> None:
        run("ip", "link", "set", self.plug, "up")

    def remove(self) -> None:
        with contextlib.suppress(AssertionError):  # already removed with the machine's network
            run("ip", "link", "delete", self.plug)


class Network:
    """The two networks of one test, deleted by `remove`."""

    def __init__(self) -> None:
        self._number = _claim_number()
        run("ip", "link", "add", self._bridge("out"), "type", "bridge")
        for side, own in (("in", self.inside(OWN_NUMBER)), ("out", self.outside(OWN_NUMBER))):
            bridge = self._bridge(side)
            run("ip", "address", "add", f"{own}/24", "dev", bridge)
            run("ip", "link", "set", bridge, "up")

    def inside(self, machine: int) -> str:
        """A machine's address on the cluster's network."""
        return f"198.18.{self._number}.{machine}"

    def outside(self, machine: int) -> str:
        """A machine's address on the clients' network."""
        return f"198.19.{self._number}.{machine}"

    def connect(self, machine: int, pid: int) -> tuple[Cable, Cable]:
        """Connects the network namespace of a process to both networks: the cluster's and the clients'."""
        run("nsenter", "-t", pid, "-n", "ip", "link", "set", "lo", "up")
        inside = self._connect("in", machine, pid, self.inside(machine))
        return inside, self._connect("out", machine, pid, self.outside(machine))

    def _connect(self, side: str, machine: int, pid: int, address: str) -> Cable:
        cable = Cable(self._bridge(side), f"fl{self._number}{side}{machine}")
        run("ip", "link", "add", cable.plug, "type", "veth", "peer", "name", side, "netns", pid)
        run("nsenter", "-t", pid, "-n", "ip", "address", "add", f"{address}/24", "dev", side)
        run("nsenter", "-t", pid, "-n", "ip", "link", "set", side, "up")
        run("ip", "link", "set", cable.plug, "master", cable.bridge)
        cable.put_back()
        return cable

    def remove(self) -> None:
        for side in ("in", "out"):
            run("ip", "link", "delete", self._bridge(side))

    def _bridge(self, side: str) -> str:
        return _bridge(self._number, side)


def _bridge(number: int, side: str) -> str:
    return f"fl{number}{side}"


def _claim_number() -> int:
    """An unused number, claimed by creating its first bridge: of concurrent attempts, the kernel lets one succeed."""
    for number in range(1, 254):
        if not Path(f"/sys/class/net/{_bridge(number, 'in')}").exists():
            with contextlib.suppress(AssertionError):
                run("ip", "link", "add", _bridge(number, "in"), "type", "bridge")
                return number
    raise AssertionError("no network can be created: every number is in use")
