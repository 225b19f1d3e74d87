"""Supervisor of `feedback-loops serve`: the parent process, which keeps the front end and the Ray backend running.

It holds the data directory, the listening socket and the secrets. It does nothing else and imports little, so it has
little reason to fail. Its children end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import actors
from actors.ledger import factory
from actors.processes.child import Program, SupervisedProcess
from actors.processes.ray_backend import ExternalRay, LocalRay
from actors.processes.ray_head import RayHead
from actors.processes.runtime_dir import locked, remove_leftovers
from actors.settings.data_dir import DataDir, make_private_dir, runtime_dir_path, write_private
from actors.settings.options import OPTIONS
from actors.settings.settings import Settings
from domain.errors import Conflict

log = logging.getLogger(__name__)

FRONT_END: Final = "api.main"
#: Connections that wait while the front end restarts; the kernel may allow fewer (net.core.somaxconn).
BACKLOG: Final = 4096
#: Seconds that each has to stop. Together less than the 10 s in which the service promises to stop.
FRONT_END_STOP_S: Final = 4.5
GATEWAY_STOP_S: Final = 3.5
RAY_STOP_S: Final = 1.0


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Runs the service until SIGTERM, SIGINT or SIGHUP. A second signal kills it at once.

    Raises:
        InvalidInput: the store's URL is not valid.
        Conflict: the data directory or the port is in use.
        StoreUnavailable: the data directory cannot be used.
    """
    factory.check_store_setting(settings)
    os.umask(0o077)
    runtime_dir = runtime_dir_path(settings.data_dir)
    with (
        DataDir.open(settings.data_dir) as data_dir,
        locked(runtime_dir),
        listener(settings.host, settings.port) as listening,
    ):
        remove_leftovers(runtime_dir)
        factory.note_store_elsewhere(settings)
        settings = settings.bound_to(listening.getsockname()[1]).with_keys(
            data_dir.master_key(settings.master_key), data_dir.admin_key(settings.admin_key)
        )
        asyncio.run(ServeSupervisor(settings, data_dir, listening, environment).run())


class ServeSupervisor:
    """Runs the service's children: the front end, and the Ray backend."""

    def __init__(
        self, settings: Settings, data_dir: DataDir, listening: socket.socket, environment: Mapping[str, str]
    ) -> None:
        run_dir = data_dir.folder("run")
        settings_file = self._settings_file = run_dir / "settings.json"
        if settings.gateway_socket.parent != run_dir:
            make_private_dir(settings.gateway_socket.parent)
        # If front ends that share actors have different settings, those of the latest start apply.
        started = {"started_ms": str(time.time_ns() // 1_000_000)}
        write_private(settings_file, json.dumps(settings.to_dict() | started))
        environment = child_environment(environment)
        self._settings = settings
        self._listening = listening
        self._front_end = SupervisedProcess(_front_end(settings_file, listening, data_dir.lock_fd, environment))
        self._backend: LocalRay | ExternalRay
        if settings.ray_address is None:
            # In a subdirectory, because the gateway's socket next to it outlives a Ray.
            head = RayHead(runtime_dir_path(settings.data_dir) / "r", run_dir, data_dir.folder("logs"), environment)
            self._backend = LocalRay(head, settings_file, environment)
        else:
            self._backend = ExternalRay(settings.ray_address, settings_file, environment)
        self._signalled = asyncio.Event()
        self._signals = 0

    async def run(self) -> None:
        """Runs the children until a signal arrives. Returns when all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signal)
        make_private_dir(runtime_dir_path(self._settings.data_dir))
        facts = {"host": self._settings.host, "port": self._settings.port, "data_dir": self._settings.data_dir}
        log.info("listening", extra={"action": "listening", "url": self._settings.public_url, **facts})
        # The front end starts first, and answers hits while everything else is still starting.
        front_end = asyncio.create_task(self._front_end.run(), name="front end")
        backend = asyncio.create_task(self._backend.run(), name="Ray backend")
        stop = asyncio.create_task(self._signalled.wait(), name="signal")
        # Without a signal the two end only because of a bug. Nothing may be left running then either.
        await asyncio.wait({stop, front_end, backend}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", extra={"action": "stopping"})
        # From now on, connections are refused; otherwise they would wait without an answer.
        self._listening.close()
        await self._front_end.stop(FRONT_END_STOP_S)
        await _cancelled(front_end)
        await _cancelled(backend)
        await self._backend.stop(GATEWAY_STOP_S, RAY_STOP_S)
        self._remove_run_files()
        stop.cancel()
        log.info("stopped", extra={"action": "stopped"})
        for task in (front_end, backend):
            if not task.cancelled() and (error := task.exception()):
                raise error

    def _signal(self) -> None:
        self._signals += 1
        self._signalled.set()
        if self._signals > 1:
            log.warning("second signal: killing all processes", extra={"action": "killing"})
            self._front_end.kill()
            self._backend.kill()

    def _remove_run_files(self) -> None:
        # This file contains secrets, which may have been passed in the environment to keep them off the disk.
        self._settings_file.unlink(missing_ok=True)
        self._settings.gateway_socket.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            runtime_dir_path(self._settings.data_dir).rmdir()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket, which each front end inherits from its predecessor.

    Raises:
        Conflict: the port is taken, or the host is not an address of this machine.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # This sets SO_REUSEADDR, so lingering connections of an earlier run do not block the port.
        return socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise Conflict(_listening_problem(host, port, exc)) from exc


def _listening_problem(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the process that listens there, or choose another port with --port"
        )
    if exc.errno == errno.EACCES:
        return f"port {port} is privileged: choose one above 1023 with --port, and use a proxy for {port}"
    return f"cannot listen on {host} port {port}: {exc.strerror or exc}; choose another address with --host"


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of children. They get the options and secrets from a file, not from the environment."""
    own = {option.variable for option in OPTIONS}
    inherited = {name: value for name, value in environment.items() if name not in own}
    # Children, including Ray's workers, run the same code as this process, installed or not.
    code = str(Path(actors.__file__).parent.parent)
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [code, inherited.get("PYTHONPATH")]))
    return inherited


def _front_end(settings_file: Path, listening: socket.socket, lock_fd: int, environment: Mapping[str, str]) -> Program:
    fd = listening.fileno()
    command = (sys.executable, "-m", FRONT_END, "--settings", str(settings_file), "--fd", str(fd))
    # It writes the journal, so it inherits the lock: no other service may start while it runs, even if we have died.
    return Program(name="front end", command=command, environment=environment, pass_fds=(fd, lock_fd))
