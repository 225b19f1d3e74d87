"""Ray on the machines of a test cluster, started as in the manifests, and restarted as by a service manager."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from actors.processes.ray_head import OBJECT_STORE_BYTES
from actors.settings.data_dir import write_private
from tests.cluster.machine import Machine
from tests.service import MARK, eventually

PORT = 6379
#: How long Ray nodes and gateways wait for an unreachable head, and for a peer that has fallen silent.
PATIENCE = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600", "RAY_grpc_client_keepalive_timeout_ms": "10000"}
#: The same values as in the units of `deploy/systemd`.
SETTINGS = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    **PATIENCE,
    "RAY_raylet_liveness_self_check_interval_ms": "5000",
}
RAYLET = "raylet/raylet "
GCS = "gcs/gcs_server "
PARTS = ("ray.scripts.scripts", RAYLET, GCS, "ray::", "dashboard/agent", "runtime_env")


class RayOnMachines:
    """A Ray cluster: the first machine is the head, and all machines require the same token."""

    def __init__(
        self, machines: list[Machine], folder: Path, shared: Mapping[str, str], redis: str | None = None
    ) -> None:
        """Creates the token.

        Args:
            shared: variables for all processes.
            redis: address of the Redis that keeps the head's state over a restart.
        """
        self.head = machines[0]
        self.machines = machines
        self.address = f"{self.head.inside}:{PORT}"
        self._folder = folder
        self._shared = shared
        self._redis = redis
        token = folder / "ray-token"
        write_private(token, secrets.token_hex(32))
        self.credentials = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}

    def start(self, machine: Machine) -> None:
        """Starts Ray on a machine, and restarts it whenever it ends."""
        machine.start(self._command(machine), self._environment(machine), self.log(machine), for_ever=True)

    def log(self, machine: Machine) -> Path:
        return self._folder / f"ray{machine.number}.log"

    def _command(self, machine: Machine) -> list[object]:
        joins = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        if machine is not self.head:
            joins = [f"--address={self.address}"]
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *joins),
            *(f"--node-ip-address={machine.inside}", "--num-cpus=2", "--temp-dir=/mnt/ray"),
            *("--node-manager-port=6380", "--object-manager-port=6381", "--runtime-env-agent-port=6382"),
            *("--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=6383", "--metrics-export-port=6384"),
            *("--min-worker-port=0", "--max-worker-port=0"),
            *("--disable-usage-stats", f"--object-store-memory={OBJECT_STORE_BYTES}", "--no-redirect-output"),
        ]

    def _environment(self, machine: Machine) -> dict[str, str]:
        given = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "warning", "RAY_worker_niceness": "0"}
        redis = {"RAY_REDIS_ADDRESS": self._redis} if self._redis and machine is self.head else {}
        ours = {MARK: f"ray {machine.number}", **quiet, **SETTINGS, **redis}
        return {**given, **self.credentials, **ours, **self._shared}

    def wait_for(self, machine: Machine, timeout_s: float = 60) -> None:
        """Waits until Ray runs on the machine, and the head answers."""
        eventually(lambda: machine.processes(RAYLET), timeout_s, f"Ray runs on {machine.name}")
        eventually(self._head_answers, timeout_s, "the head answers")

    def _head_answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.head.inside, PORT), 1):
            return True
        return False

    def kill_node(self, machine: Machine) -> None:
        """Sends kill -9 to all processes of Ray on a machine, workers included; Ray then restarts."""
        for process in machine.processes(*PARTS):
            with contextlib.suppress(psutil.Error):
                if process.name() != "sh":  # the shell restarts Ray
                    process.kill()

    def stop_node(self, machine: Machine) -> None:
        """Stops Ray on a machine as a service manager does: SIGTERM to all of its processes."""
        processes = machine.processes(*PARTS)
        for process in sorted(processes, key=lambda p: p.name() != "sh"):  # the shell first, which would restart Ray
            with contextlib.suppress(psutil.Error):
                process.kill() if process.name() == "sh" else process.terminate()
        _, left = psutil.wait_procs(processes, timeout=15)
        for process in left:
            process.kill()
