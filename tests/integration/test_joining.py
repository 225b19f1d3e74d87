"""Join of a real Ray, and its cost when the head goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.processes.ray_head import NODE_ADDRESS, ONLY_LOOPBACK
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import eventually, in_sessions

#: Joins, reports it, and prints its CPU time on request.
DRIVER = """
import asyncio, os, sys
from actors.ray_runtime.join import join
asyncio.run(join(sys.argv[1]))
print("joined", flush=True)
sys.stdin.read()
os._exit(0)
"""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "5e" * 32,
    **ONLY_LOOPBACK,
}


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A Ray of one node: its address, and the session of all its processes."""
    # It holds Ray's sockets, for whose names pytest's own directories are too long.
    port, folder = free_port(), tempfile.mkdtemp(prefix="joining-")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += [
        f"--node-ip-address={NODE_ADDRESS}",
        "--num-cpus=1",
        "--include-dashboard=false",
        "--disable-usage-stats",
    ]
    command += ["--object-store-memory=80000000", f"--temp-dir={folder}"]
    command += ["--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"]
    with (tmp_path / "ray.log").open("wb") as log:
        ray = subprocess.Popen(
            command,
            env=os.environ | ENVIRONMENT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        eventually(lambda: "started" in (tmp_path / "ray.log").read_text(), 60, "Ray runs")
        yield f"{NODE_ADDRESS}:{port}", ray.pid
    finally:
        for process in in_sessions({ray.pid}):
            process.kill()
        ray.wait(10)
        shutil.rmtree(folder)


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_a_head_that_is_away_costs_no_cpu(head: tuple[str, int]) -> None:
    """A process that has joined waits for it without busy polling."""
    address, session = head
    command = [sys.executable, "-c", DRIVER, address]
    environment, pipe = os.environ | ENVIRONMENT, subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe) as driver:
        try:
            assert driver.stdout is not None
            assert driver.stdout.readline() == b"joined\n"
            (gcs,) = (p for p in in_sessions({session}) if "gcs_server" in p.name())
            gcs.kill()
            before_s = sum(psutil.Process(driver.pid).cpu_times()[:2])
            with pytest.raises(subprocess.TimeoutExpired):
                driver.wait(2)
            assert sum(psutil.Process(driver.pid).cpu_times()[:2]) - before_s < 0.4
        finally:
            driver.kill()
