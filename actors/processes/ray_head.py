"""Ray head of this machine: starts a Ray, detects its end, and ends all of its processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from actors.process_setup.import_path import python_module
from actors.processes.actor_log import ActorLog
from actors.processes.child import ChildProcess, Program
from actors.settings.data_dir import make_private_dir, write_private
from domain.errors import Unavailable

log = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
#: Ray only listens on loopback if its node has exactly this address (`ONLY_LOOPBACK`).
NODE_ADDRESS: Final = "127.0.0.1"
#: Without this, Ray replaces its node's address with one that other machines can reach, in every process that joins it.
ONLY_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
#: Calls are too small for the object store, but Ray requires at least 75 MB.
OBJECT_STORE_BYTES: Final = 80_000_000
#: Processes without which Ray does not work.
VITAL: Final = frozenset({"gcs_server", "raylet"})
MARK: Final = "FEEDBACK_LOOPS_RAY"
_LOCAL_NODE: Final = "actors.ray_runtime.local_node"
_POLL_S: Final = 0.05
#: Time to copy what the actors logged last.
_LAST_LINES_S: Final = 0.05
_GONE_TIMEOUT_S: Final = 2.0


class RayHead:
    """A single-node Ray. All its processes have `MARK` with `temp_dir` in their environment, so none is left behind.

    Only users who can read the token file can connect to it.
    """

    def __init__(self, temp_dir: Path, folder: Path, logs: Path, environment: Mapping[str, str]) -> None:
        """A Ray that is not running yet.

        Args:
            temp_dir: Ray's temporary directory, removed at the end. Its path must be short, because of Unix sockets.
            folder: The directory for the token.
            logs: The directory for Ray's log.
            environment: The environment of Ray's processes.
        """
        self._temp_dir = temp_dir
        self._token_file = folder / "ray-token"
        self._log = logs / "ray.log"
        self._environment = environment
        self._child: ChildProcess | None = None
        self._output: ActorLog | None = None

    @property
    def client_environment(self) -> dict[str, str]:
        """The environment variables that a process needs to connect to this Ray."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self._token_file), **ONLY_LOOPBACK}

    async def start(self) -> str:
        """Starts Ray, and returns its address when it accepts connections. Removes the remains of an earlier Ray first.

        Raises:
            Unavailable: Ray did not start; its log says why.
        """
        await self.remove()
        make_private_dir(self._temp_dir)
        write_private(self._token_file, secrets.token_hex(32))
        with contextlib.suppress(FileNotFoundError):
            self._log.replace(self._log.with_name("ray.log.1"))
        self._output = ActorLog(self._log)
        try:
            self._child = await ChildProcess.start(self._program(self._output.write_fd))
        finally:
            self._output.close_write_end()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                port = await self._answers()
        except TimeoutError:
            raise Unavailable(f"Ray did not start within {START_TIMEOUT_S:.0f} s; see {self._log}") from None
        return f"{NODE_ADDRESS}:{port}"

    async def ended(self) -> str:
        """Waits until this Ray fails. Returns the reason."""
        if self._child is None:
            raise RuntimeError("Ray was not started")
        ends = {
            asyncio.create_task(self._start_ended(self._child)),
            asyncio.create_task(self._vital_ended(self._child.pid)),
        }
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in ends:
                task.cancel()

    async def stop(self, timeout_s: float) -> None:
        """Sends SIGTERM, and SIGKILL after `timeout_s`. Leaves no process and no file."""
        if self._child is not None:
            await self._child.stop(timeout_s)
        await self.remove()
        if self._output is not None:
            await asyncio.to_thread(self._output.join, _LAST_LINES_S)

    async def remove(self) -> None:
        """Kills every process with the mark, including those started by others, and removes the temporary directory."""
        deadline_s = time.monotonic() + _GONE_TIMEOUT_S
        while self.kill() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - others' children cannot be awaited
            await asyncio.sleep(_POLL_S)
        shutil.rmtree(self._temp_dir, ignore_errors=True)

    def kill(self) -> bool:
        """Kills all its processes with SIGKILL. Returns whether there were any."""
        if self._child is not None:
            self._child.kill()
        pids = marked_pids(f"{MARK}={self._temp_dir}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def _program(self, output: int) -> Program:
        command = (
            *python_module(_LOCAL_NODE),
            *("--address", NODE_ADDRESS, "--temp-dir", str(self._temp_dir)),
            *("--cpus", str(os.cpu_count() or 1), "--object-store-bytes", str(OBJECT_STORE_BYTES)),
        )
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "warning", "RAY_DISABLE_IMPORT_WARNING": "1"}
        # Ray would lower the priority of all actors; they set their own niceness.
        fair = {"RAY_worker_niceness": "0"}
        environment = {**self._environment, **self.client_environment, **quiet, **fair, MARK: str(self._temp_dir)}
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):  # of another Ray
            environment.pop(name, None)
        directory = self._token_file.parent
        return Program(name="ray", command=command, environment=environment, directory=directory, output=output)

    async def _answers(self) -> int:
        """The port that it has taken, as soon as something answers there."""
        if self._child is None:
            raise RuntimeError("Ray was not started")
        ended = asyncio.create_task(self._child.wait())
        try:
            while not ended.done():
                with contextlib.suppress(OSError, ValueError):
                    # It takes any that is free, and notes which.
                    (noted,) = self._temp_dir.glob("session_latest/gcs_server_port_*")
                    port = int(noted.read_text())
                    _, writer = await asyncio.open_connection(NODE_ADDRESS, port)
                    writer.close()
                    return port
                await asyncio.wait({ended}, timeout=_POLL_S)
            raise Unavailable(f"Ray ended with {ended.result()} during its start; see {self._log}")
        finally:
            ended.cancel()

    async def _start_ended(self, child: ChildProcess) -> str:
        return f"the parent of Ray's processes ended with {await child.wait()}"

    async def _vital_ended(self, start_pid: int) -> str:
        while not VITAL.issubset(found := children(start_pid)):  # noqa: ASYNC110 - nor can their start
            await asyncio.sleep(_POLL_S)
        ends = {asyncio.create_task(gone(found[name])): name for name in VITAL}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return f"{ends[done.pop()]} ended"
        finally:
            for task in ends:
                task.cancel()


def children(pid: int) -> dict[str, int]:
    """The direct children of a process, by name. Empty on systems other than Linux."""
    found = {}
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


async def gone(pid: int) -> None:
    """Waits until a process has ended; it need not be a child of this one (Linux)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def marked_pids(mark: str) -> list[int]:
    """The running processes with `mark`, a NAME=value, in their environment (Linux)."""
    sign = mark.encode()
    return [pid for pid, environment in _environments() if sign in environment]


def temp_dirs_in_use() -> set[Path] | None:
    """The temporary directories of all services' Rays that have a running process; None if this cannot be found out."""
    if not Path("/proc/self/environ").exists():
        return None
    sign = f"{MARK}=".encode()
    return {
        Path(os.fsdecode(entry.removeprefix(sign)))
        for _, environment in _environments()
        for entry in environment
        if entry.startswith(sign)
    }


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # A zombie has no environment.
            yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
