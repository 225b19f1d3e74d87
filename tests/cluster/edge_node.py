"""Edge node of a test cluster: `feedback-loops serve --ray-address` on one of its machines."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

import httpx
import psutil

from tests.cluster.machine import CODE, Machine
from tests.service import Service, eventually

PORT = 8080


class EdgeNode(Service):
    """A `Service` on a machine. It shares the cluster's actors: `processes` only finds the front end's processes."""

    def __init__(self, machine: Machine, data_dir: Path, port: int = PORT, /, **environment: str) -> None:
        self.machine = machine
        self.host = machine.outside
        super().__init__(data_dir, host=machine.outside, **{"PYTHONPATH": CODE} | environment)
        self.port = port
        self.http.base_url = httpx.URL(f"http://{self.host}:{port}")
        self._log_begins_at = 0

    def start(self, *, wait: bool = True) -> Service:
        self.wrapper = self.machine.wrapper
        if self.serve_process is not None:
            self.serve_process.wait(10)  # it has ended with its machine
        self._log_begins_at = self.log.stat().st_size if self.log.exists() else 0
        return super().start(wait=wait)

    def terminate(self, timeout_s: float = 15) -> float:
        """See `Service.terminate`. The process that was started is a wrapper, which waits for the `serve` process."""
        for serve in self.machine.processes("api.cli.main serve"):
            with contextlib.suppress(psutil.Error):
                serve.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.serve_process is not None:
                self.serve_process.wait(timeout_s)
        eventually(lambda: not self.machine.processes("api.cli.main serve"), timeout_s, "the `serve` process ends")
        return 0.0

    def recent_log(self) -> str:
        """The log since the last start."""
        return self.log.read_bytes()[self._log_begins_at :].decode(errors="replace")

    def wait_for_problem(self, text: str) -> None:
        """Waits until the response of `/readyz` contains the text."""
        eventually(lambda: text in self.problems(), 60, f"{text} in {self.problems()}")
