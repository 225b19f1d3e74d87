"""The parent process: holds the data directory, the listening socket and the secrets, and keeps its children running.

It does nothing else, imports little, and so has little to die of. Children end with it.
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
from actors.processes.child import KeptRunning, Program
from actors.processes.ray_backend import Actors, GivenRay, OwnRay
from actors.processes.ray_head import RayNode
from actors.processes.runtime_dir import held, remove_leftovers
from actors.settings import OPTIONS, Settings
from actors.settings.data_dir import DataDir, make_own, short_dir, write_private
from domain.errors import Conflict

log = logging.getLogger(__name__)

FRONT_END: Final = "api.main"
#: Connections that wait while the front end is started again; the kernel may allow fewer (net.core.somaxconn).
BACKLOG: Final = 4096
#: Seconds that each has to stop; together below the 10 s that the service promises.
FRONT_END_STOP_S: Final = 4.5
GATEWAY_STOP_S: Final = 3.5
RAY_STOP_S: Final = 1.0


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Runs the service until SIGTERM, SIGINT or SIGHUP, then stops it; a second signal ends it at once.

    Raises:
        InvalidInput: the store's URL cannot be understood.
        Conflict: the data directory or the port is in use.
        StoreUnavailable: the data directory cannot be used.
    """
    factory.check_store_setting(settings)
    os.umask(0o077)
    place = short_dir(settings.data_dir)
    with (
        DataDir.open(settings.data_dir) as data_dir,
        held(place),
        listener(settings.host, settings.port) as listening,
    ):
        remove_leftovers(place)
        factory.note_store_elsewhere(settings)
        settings = settings.bound_to(listening.getsockname()[1]).with_keys(
            data_dir.master_key(settings.master_key), data_dir.admin_key(settings.admin_key)
        )
        asyncio.run(Keeper(settings, data_dir, listening, environment).run())


class Keeper:
    """The service's children, from their start to their end."""

    def __init__(
        self, settings: Settings, data_dir: DataDir, listening: socket.socket, environment: Mapping[str, str]
    ) -> None:
        run_dir = data_dir.folder("run")
        settings_file = self._settings_file = run_dir / "settings.json"
        if settings.gateway_socket.parent != run_dir:
            make_own(settings.gateway_socket.parent)
        # When front ends that share actors were started with different settings, the last start decides.
        started = {"started_ms": str(time.time_ns() // 1_000_000)}
        write_private(settings_file, json.dumps(settings.to_dict() | started))
        environment = child_environment(environment)
        self._settings = settings
        self._listening = listening
        self._front_end = KeptRunning(_front_end(settings_file, listening, data_dir.lock_fd, environment))
        self._actors: Actors
        if settings.ray_address is None:
            # One level down: what is beside it, a gateway's socket, outlives a Ray.
            node = RayNode(short_dir(settings.data_dir) / "r", run_dir, data_dir.folder("logs"), environment)
            self._actors = OwnRay(node, settings_file, environment)
        else:
            self._actors = GivenRay(settings.ray_address, settings_file, environment)
        self._signalled = asyncio.Event()
        self._signals = 0

    async def run(self) -> None:
        """Keeps the children running until a signal comes, and returns when all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signal)
        make_own(short_dir(self._settings.data_dir))
        log.info("listening", extra={"action": "listening", "url": self._settings.public_url, **self._places()})
        # The front end first: it answers hits while all else is still on its way.
        front_end = asyncio.create_task(self._front_end.run(), name="front end")
        actors_side = asyncio.create_task(self._actors.run(), name="actors")
        stop = asyncio.create_task(self._signalled.wait(), name="signal")
        # The two end before the signal only by a mistake of ours; then, too, nothing is left running.
        await asyncio.wait({stop, front_end, actors_side}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", extra={"action": "stopping"})
        # From here on connections are refused, instead of waiting for an answer that nobody will give.
        self._listening.close()
        await self._front_end.stop(FRONT_END_STOP_S)
        await _cancelled(front_end)
        await _cancelled(actors_side)
        await self._actors.stop(GATEWAY_STOP_S, RAY_STOP_S)
        self._remove_what_runs()
        stop.cancel()
        log.info("stopped", extra={"action": "stopped"})
        for task in (front_end, actors_side):
            if not task.cancelled() and (error := task.exception()):
                raise error

    def _places(self) -> dict[str, object]:
        return {"host": self._settings.host, "port": self._settings.port, "data_dir": self._settings.data_dir}

    def _signal(self) -> None:
        self._signals += 1
        self._signalled.set()
        if self._signals > 1:
            log.warning("asked twice: ending at once", extra={"action": "killing"})
            self._front_end.kill()
            self._actors.kill()

    def _remove_what_runs(self) -> None:
        # It holds secrets, which may have been given by the environment to be on no disk.
        self._settings_file.unlink(missing_ok=True)
        self._settings.gateway_socket.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            short_dir(self._settings.data_dir).rmdir()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket, which the front ends inherit one after another.

    Raises:
        Conflict: the port is taken, or the host is not this machine's.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Sets SO_REUSEADDR: connections of an earlier run that linger do not take the port.
        return socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise Conflict(_listening_problem(host, port, exc)) from exc


def _listening_problem(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop what listens there, or choose another port with --port"
    if exc.errno == errno.EACCES:
        return f"port {port} is not for everybody: choose one above 1023 with --port, and let a proxy have {port}"
    return f"cannot listen at {host} port {port}: {exc.strerror or exc}; choose another address with --host"


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What children inherit: our own options and secrets reach them by a file, not by the environment."""
    own = {option.variable for option in OPTIONS}
    inherited = {name: value for name, value in environment.items() if name not in own}
    # Children run the same code as we do, installed or not; Ray's workers too.
    code = str(Path(actors.__file__).parent.parent)
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [code, inherited.get("PYTHONPATH")]))
    return inherited


def _front_end(settings_file: Path, listening: socket.socket, lock_fd: int, environment: Mapping[str, str]) -> Program:
    fd = listening.fileno()
    command = (sys.executable, "-m", FRONT_END, "--settings", str(settings_file), "--fd", str(fd))
    # It writes the journal, so no other service may start while it lives, whatever has become of us.
    return Program(name="front end", command=command, environment=environment, pass_fds=(fd, lock_fd))
