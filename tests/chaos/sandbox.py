"""Sandbox of one service, in which its disk, its DNS and its clock can fail without affecting other processes.

The data directory is a small separate file system, and the service sees a separate hosts file; both need root and
mounts, and are omitted without them. The clock is stepped in Python.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.service import Sink, eventually
from tests.stepped_clock import SteppedClock

HANDLER_NAME = "handler.chaos.test"
DISK_BYTES = 2 << 30
#: Wrapper of the service's command. Names that are not in the hosts file are looked up at a server that does not exist.
_OWN_HOSTS = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
_NO_SERVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"


class Sandbox:
    """Disk, hosts file and clock of one service. Created by `sandbox`."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir(mode=0o700)
        self.clock = SteppedClock(folder / "clock")
        self._hosts = folder / "hosts"
        self._resolv = folder / "resolv.conf"
        self._filler = self.data_dir / "filler"
        self._filling: threading.Thread | None = None
        self._is_full = threading.Event()
        self.show_handler()
        self._resolv.write_text(_NO_SERVER)
        self.has_own_disk = _can_run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", self.data_dir]
        )
        self.has_own_hosts = _can_run([*self._hosts_wrapper(), "getent", "hosts", HANDLER_NAME])

    def _hosts_wrapper(self) -> tuple[str, ...]:
        return ("/usr/bin/unshare", "--mount", "sh", "-c", _OWN_HOSTS, str(self._hosts), str(self._resolv))

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Command that the service's command is appended to."""
        return self._hosts_wrapper() if self.has_own_hosts else ()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the service's environment."""
        return self.clock.environment()

    def remove(self) -> None:
        """Unmounts the file system; the service must have ended."""
        if self.has_own_disk:
            eventually(lambda: _can_run(["umount", self.data_dir]), 10, "the data directory is unmounted")

    # --- names

    def handler_url(self, sink: Sink) -> str:
        """The sink's URL, with a host name that can stop resolving."""
        return sink.url.replace("127.0.0.1", HANDLER_NAME) if self.has_own_hosts else sink.url

    def show_handler(self) -> None:
        """Makes the handler's name resolve."""
        self._hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {HANDLER_NAME}\n")

    def hide_handler(self) -> None:
        """Stops the handler's name from resolving: its DNS server does not answer."""
        self._hosts.write_text("127.0.0.1 localhost\n")

    # --- the disk

    def fill_disk(self) -> None:
        """Fills the data directory's file system, and keeps it full until `free_disk`."""
        self._is_full.set()
        self._filling = threading.Thread(target=self._keep_full, daemon=True)
        self._filling.start()

    def _keep_full(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            while self._is_full.is_set():
                free = os.statvfs(self.data_dir)
                with contextlib.suppress(OSError):
                    end = file.seek(0, os.SEEK_END)
                    os.posix_fallocate(file.fileno(), end, max(free.f_bavail * free.f_frsize, 1))
                with contextlib.suppress(OSError):
                    file.seek(0, os.SEEK_END)
                    while self._is_full.is_set():
                        file.write(bytes(4096))
                time.sleep(0.005)

    def free_disk(self) -> None:
        """Makes room again; the file system has it when this returns."""
        self._is_full.clear()
        if self._filling is not None:
            self._filling.join()  # the space of a removed file is free once nobody has it open
        self._filler.unlink(missing_ok=True)


def _can_run(command: list[str | Path]) -> bool:
    with contextlib.suppress(OSError):
        return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[Sandbox]:
    """A sandbox in `folder`, whose file system is unmounted afterwards."""
    made = Sandbox(folder)
    try:
        yield made
    finally:
        made.remove()
