"""A network between machines of a test: one that the cluster talks over, one that people reach its front ends over.

Both are bridges of the kernel with addresses of their own (198.18.0.0/15, RFC 2544: for tests), which lead nowhere
else. A machine has a cable to each; a cable can be pulled, and then packets vanish without a word to either side.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: The number of the test's own end of each network.
OWN_NUMBER = 254


def reason_to_skip() -> str | None:
    """Why there can be no network of its own here, if there cannot."""
    if os.geteuid() != 0:
        return "a network of its own needs root"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "ip", "link", "add", "type", "veth"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"a network of its own cannot be made: {tried.stderr.strip()}" if tried.returncode else None


def run(*command: object) -> str:
    """Runs a command that must succeed, and gives its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Cable:
    """A machine's connection to one network."""

    bridge: str
    #: The end that is plugged into it.
    plug: str

    def pull(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        run("ip", "link", "set", self.plug, "down")

    def put_back(self) -> None:
        run("ip", "link", "set", self.plug, "up")

    def remove(self) -> None:
        with contextlib.suppress(AssertionError):  # the machine's network has ended already, and this with it
            run("ip", "link", "delete", self.plug)


class Network:
    """The two networks of one test. `remove` takes them away."""

    def __init__(self) -> None:
        self._number = _taken_number()
        run("ip", "link", "add", self._bridge("out"), "type", "bridge")
        for side, own in (("in", self.inside(OWN_NUMBER)), ("out", self.outside(OWN_NUMBER))):
            bridge = self._bridge(side)
            run("ip", "address", "add", f"{own}/24", "dev", bridge)
            run("ip", "link", "set", bridge, "up")

    def inside(self, machine: int) -> str:
        """A machine's address on the cluster's network."""
        return f"198.18.{self._number}.{machine}"

    def outside(self, machine: int) -> str:
        """A machine's address on the network of those who click."""
        return f"198.19.{self._number}.{machine}"

    def connect(self, machine: int, pid: int) -> tuple[Cable, Cable]:
        """Gives the network namespace of a process a cable to each network: the cluster's, and the people's."""
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


def _taken_number() -> int:
    """A number that no network had, and that its first bridge has now: of those who try at once the kernel lets one."""
    for number in range(1, 254):
        if not Path(f"/sys/class/net/{_bridge(number, 'in')}").exists():
            with contextlib.suppress(AssertionError):
                run("ip", "link", "add", _bridge(number, "in"), "type", "bridge")
                return number
    raise AssertionError("a network of its own cannot be made: every number is taken")
