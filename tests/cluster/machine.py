"""Machine of a test cluster, made of Linux namespaces: separate network, processes and `/mnt`.

Its power can be cut: every process on it ends at once, and its connections fall silent. It stores its files on the
disk of the machine that runs the test, so they are there when it boots again.

Each machine has the program at `CODE`: the working tree, or another version that was installed there.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from actors.process_setup.pdeathsig import killed_with_parent
from tests.cluster.network import Cable, Network, run
from tests.paths import ROOT
from tests.service import eventually

#: Directory of the program on every machine.
CODE = "/mnt/code"
#: The init process: everything else on the machine ends with it. It ignores SIGCHLD, so orphans leave no zombies.
_INIT = """
mount --bind "$0" /mnt && mount --bind "$2" /mnt/code &&
mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf &&
echo "$1" > /proc/sys/kernel/hostname && trap "" CHLD && exec sleep infinity
"""
_NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child=KILL")
#: Restarts a command whenever it ends, as a service manager does.
_FOR_EVER = 'while :; do "$@"; sleep 0.5; done'
SIGKILL = 9


class Machine:
    """One machine, off until `boot`."""

    def __init__(self, number: int, network: Network, folder: Path) -> None:
        self.name = f"machine{number}"
        self.number = number
        self.network = network
        self.folder = folder / f"m{number}"
        self._own = self.folder / "own"
        (self._own / "code").mkdir(parents=True)
        self._code = ROOT
        (self._own / "hosts").write_text(f"127.0.0.1 localhost\n{self.inside} {self.name}\n")
        # This server refuses at once; without one, every program that looks up its own name would wait ten seconds.
        (self._own / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self._power: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._cables: tuple[Cable, Cable] | None = None
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def inside(self) -> str:
        """The machine's address on the cluster's network."""
        return self.network.inside(self.number)

    @property
    def outside(self) -> str:
        """The machine's address for clients."""
        return self.network.outside(self.number)

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Prefix that runs a command on this machine."""
        return (
            *("/usr/bin/nsenter", "-t", str(self._init)),
            *("--net", "--mount", "--pid", "--uts", "--ipc", f"--wdns={CODE}"),
        )

    def boot(self) -> None:
        """Starts the machine, without any program."""
        command = ["/usr/bin/unshare", *_NAMESPACES, "sh", "-c", _INIT, str(self._own), self.name, str(self._code)]
        self._power = subprocess.Popen(killed_with_parent(command, SIGKILL))
        self._init = eventually(self._init_pid, 10, f"{self.name} boots")
        self._cables = self.network.connect(self.number, self._init)

    def _init_pid(self) -> int | None:
        assert self._power is not None
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._power.pid).children():
                if child.name() == "sleep":
                    return child.pid
        return None

    def install(self, code: Path) -> None:
        """Replaces the program with another version. Running processes keep the old one."""
        self._code = code
        if self.is_on:
            # A new mount at the same path: processes that have the old directory open keep it.
            script = 'cd / && umount --lazy "$0" && mount --bind "$1" "$0"'
            run(*self.wrapper, "sh", "-c", script, CODE, code)

    def start(
        self, command: Sequence[object], environment: Mapping[str, str], log: Path, *, for_ever: bool = False
    ) -> subprocess.Popen[bytes]:
        """Runs a program on the machine; `for_ever` restarts it whenever it ends."""
        words = [str(word) for word in command]
        again = ["sh", "-c", _FOR_EVER, "for-ever"] if for_ever else []
        with log.open("ab") as output:
            started = subprocess.Popen(
                [*self.wrapper, *again, *words],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(started)
        return started

    def cut_off(self) -> None:
        """Disconnects the machine from the cluster's network; clients still reach it."""
        self._cable.pull()

    def rejoin(self) -> None:
        self._cable.put_back()

    @property
    def _cable(self) -> Cable:
        assert self._cables is not None, f"{self.name} is not booted"
        return self._cables[0]

    def processes(self, *signs: str) -> list[psutil.Process]:
        """The machine's live processes whose command line contains one of `signs`."""
        found = []
        space = Path(f"/proc/{self._init}/ns/pid")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                on_it = Path(f"/proc/{process.pid}/ns/pid").samefile(space)
                if on_it and process.status() != psutil.STATUS_ZOMBIE:
                    line = " ".join(process.cmdline())
                    if any(sign in line for sign in signs):
                        found.append(process)
        return found

    def listening(self) -> list[tuple[str, int]]:
        """Addresses and ports where programs on the machine listen for IPv4 connections."""
        rows = [line.split() for line in Path(f"/proc/{self._init}/net/tcp").read_text().splitlines()[1:]]
        addresses = [row[1].split(":") for row in rows if row[3] == "0A"]
        return [(socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)) for host, port in addresses]

    @property
    def is_on(self) -> bool:
        return self._power is not None

    def cut_power(self) -> None:
        """Kills every process of the machine at once, without closing its connections."""
        if self._power is None:
            return
        if self._cables is not None:
            # The kernel would send FIN for processes that end; a machine without power does not.
            for cable in self._cables:
                with contextlib.suppress(AssertionError):
                    cable.pull()
        self._power.kill()
        self._power.wait(10)
        for started in self._started:
            started.wait(10)
        self._started.clear()
        for cable in self._cables or ():
            # The network namespace would remain for as long as its connections try to send FIN.
            cable.remove()
        self._power, self._cables = None, None
