"""Child processes of a command: they end with it, however it ends, and their output can be read."""

from __future__ import annotations

import contextlib
import queue
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from actors.process_setup.import_path import python_module
from actors.process_setup.pdeathsig import killed_with_parent

STOP_TIMEOUT_S: Final = 12.0
#: Systems hand out those from 32768 on, or from further up.
PORTS: Final = range(32_000, 32_768)


class OwnProcess:
    """`feedback-loops …` as a child process that a Ctrl-C in the terminal does not reach."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        command = [*python_module("api.cli.main"), *arguments]
        self.log = log
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                killed_with_parent(command, signal.SIGTERM),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def line(self, timeout_s: float) -> str | None:
        """The next line of its output, or None when none came in time."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def hurry(self) -> None:
        """SIGTERM once more, which a service takes as: at once. It does not wait."""
        self._process.terminate()

    def stop(self) -> None:
        """SIGTERM, and if that does not help SIGKILL; returns when it has ended."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1)
        if self._process.stdout is not None:
            self._process.stdout.close()


def free_port() -> int:
    """A port on 127.0.0.1 on which nothing listens now. The system does not assign it to other programs by itself.

    Raises:
        OSError: all of `PORTS` are taken.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"something listens on every port from {PORTS.start} to {PORTS.stop - 1}")


def accepts(port: int, timeout_s: float) -> bool:
    """Whether something on 127.0.0.1 takes connections at `port` within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
