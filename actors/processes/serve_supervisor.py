"""Supervisor of `feedback-loops serve`: the parent process, which keeps the front end and the Ray backend running.

It holds the data directory, the listening socket and the secrets. It does nothing else and imports little, so it has
little reason to fail. Its children end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from actors.ipc.socket_key import key_path
from actors.ledger import factory
from actors.process_setup.exit_codes import HITS_LOST
from actors.process_setup.import_path import python_module, with_own_code
from actors.process_setup.open_files import ENOUGH, raise_limit
from actors.processes.child import Program, SupervisedProcess
from actors.processes.installation import prepare_keys
from actors.processes.journal_check import check_journal
from actors.processes.listening_socket import ACTIVATION_VARIABLES, bound_listener
from actors.processes.ray_backend import ExternalRay, LocalRay
from actors.processes.ray_head import RayHead
from actors.processes.runtime_dir import locked, remove_leftovers
from actors.settings import PASSWORD_VARIABLE, Settings
from actors.settings.data_dir import DataDir, make_private_dir, runtime_dir_path, write_private
from actors.settings.options import OPTIONS
from actors.settings.store_place import STORE_PLACE, store_place
from domain.errors import Conflict

log = logging.getLogger(__name__)

FRONT_END: Final = "api.main"
#: Seconds after the signal at which each is killed. The service promises to stop within 10 s.
FRONT_END_STOP_S: Final = 6.5
GATEWAY_STOP_S: Final = 9.3
RAY_STOP_S: Final = 9.6


def serve(settings: Settings, environment: Mapping[str, str], inherited: socket.socket | None = None) -> int:
    """Runs the service until SIGTERM or SIGINT, and returns the exit code. A second signal kills it at once.

    Args:
        settings: The settings. With an inherited socket, host and port are its address.
        environment: The environment of this process.
        inherited: The listening socket, if another process keeps it open across restarts.

    Raises:
        InvalidInput: the store's URL is not valid.
        Conflict: the data directory or the port is in use, or the directory is empty although `no_init` is set.
        StoreUnavailable: the data directory cannot be used.
        JournalNotOpen: the journal cannot be opened.
        DataDirLost: at the end, the data directory was no longer there.
    """
    factory.check_store_setting(settings)
    if not settings.retry_schedule.delays_s:
        log.warning("failed deliveries are not retried: the retry schedule is empty", extra={"action": "no_retries"})
    if (open_files := raise_limit()) < ENOUGH:
        advice = "raise the hard limit: LimitNOFILE= in the unit, or ulimit -Hn"
        log.warning("few open files", extra={"action": "few_open_files", "limit": open_files, "advice": advice})
    os.umask(0o077)
    runtime_dir = runtime_dir_path(settings.data_dir)
    with ExitStack() as stack:
        # If the port is taken, nothing is left behind. In a used directory, the children of a service that has just
        # died may still have the port, until they release the directory.
        is_new = not settings.data_dir.exists() or not any(settings.data_dir.iterdir())
        early = inherited
        if is_new and inherited is None:
            early = stack.enter_context(bound_listener(settings.host, settings.port))
        data_dir = stack.enter_context(DataDir.open(settings.data_dir))
        stack.enter_context(locked(runtime_dir))
        check_journal(settings.data_dir)
        listening = early or stack.enter_context(bound_listener(settings.host, settings.port))
        _begin(data_dir, settings)
        remove_leftovers(runtime_dir)
        factory.note_store_elsewhere(settings)
        if problem := settings.public_url_problem:
            facts = {"problem": problem, "advice": "set --public-url (FEEDBACK_LOOPS_PUBLIC_URL)"}
            log.warning("no message can be registered", extra={"action": "public_url", **facts})
        settings = settings.bound_to(listening.getsockname()[1]).with_lock(data_dir.identity)
        settings = settings.with_instance(secrets.token_hex(8))
        settings = settings.with_admin_key(data_dir.admin_key(settings.admin_key))
        if ring := prepare_keys(settings):
            data_dir.record_installation(ring.fingerprint)
        exit_code = asyncio.run(ServeSupervisor(settings, data_dir, listening, environment).run())
        data_dir.watch.require()
        return exit_code


def _begin(data_dir: DataDir, settings: Settings) -> None:
    """Makes an empty data directory one of a new installation, if the settings allow it."""
    if settings.no_init and settings.store is None and not data_dir.is_installed:
        raise Conflict(
            f"{settings.data_dir} has no keys, and with --no-init no new installation is made: mount its volume, "
            "restore a backup, or run `feedback-loops init`"
        )
    if data_dir.marker is not None:
        return
    log.warning(
        "the data directory is empty: this is the first start of a new installation, unless its volume is not mounted",
        extra={"action": "data_dir_new", "data_dir": settings.data_dir},
    )
    data_dir.init()


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
        started = {"started_ms": str(time.time_ns() // 1_000_000), STORE_PLACE: store_place(settings.store)}
        write_private(settings_file, json.dumps(settings.to_dict() | started))
        gateway_secrets = _json(settings.secrets(("master_key", "store")))
        gateway_environment = child_environment(environment)
        # The front end has nothing to do with Ray.
        environment = {name: text for name, text in gateway_environment.items() if not name.startswith("RAY_AUTH_")}
        self._settings = settings
        self._watch = data_dir.watch
        self._listening = listening
        self._front_end = SupervisedProcess(_front_end(settings, settings_file, listening, data_dir, environment))
        self._backend: LocalRay | ExternalRay
        if settings.ray_address is None:
            # In a subdirectory, because the gateway's socket next to it outlives a Ray.
            head = RayHead(runtime_dir_path(settings.data_dir) / "r", run_dir, data_dir.folder("logs"), environment)
            self._backend = LocalRay(head, settings_file, gateway_secrets, environment, data_dir.watch)
        else:
            self._backend = ExternalRay(
                settings.ray_address, settings_file, gateway_secrets, gateway_environment, data_dir.watch
            )
        self._signalled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        #: 128 and the number of the signal that has killed the service, as in shells; or that hits were lost.
        self._exit_code = 0

    async def run(self) -> int:
        """Runs the children until a signal arrives. Returns the exit code when all have ended; 0: an orderly stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal, number)
        # The terminal from which it was started may be closed.
        loop.add_signal_handler(signal.SIGHUP, _ignore_hangup)
        make_private_dir(runtime_dir_path(self._settings.data_dir))
        facts = {"host": self._settings.host, "port": self._settings.port, "data_dir": self._settings.data_dir}
        log.info("listening", extra={"action": "listening", "url": self._settings.public_url, **facts})
        # The front end starts first, and answers hits while everything else is still starting.
        front_end = asyncio.create_task(self._front_end.run(), name="front end")
        backend = asyncio.create_task(self._backend.run(), name="Ray backend")
        stop = asyncio.create_task(self._signalled.wait(), name="signal")
        self._tasks += [front_end, backend]
        # Without a signal the two end only because of a bug. Nothing may be left running then either.
        await asyncio.wait({stop, front_end, backend}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", extra={"action": "stopping"})
        # From now on, connections are refused; otherwise they would wait without an answer. The owner of an inherited
        # socket keeps it open: there they wait for the next start.
        self._listening.close()
        began_s = loop.time()
        # The loops finish their attempts while the front end forwards its last hits, which wait for the next start.
        self._backend.drain()
        self._note(await self._front_end.stop(FRONT_END_STOP_S))
        await _cancelled(front_end)
        await _cancelled(backend)
        await self._backend.stop(began_s + GATEWAY_STOP_S, began_s + RAY_STOP_S)
        self._remove_run_files()
        stop.cancel()
        log.info("stopped", extra={"action": "stopped"})
        for task in (front_end, backend):
            if not task.cancelled() and (error := task.exception()):
                raise error
        return self._exit_code

    def _note(self, ending: int | None) -> None:
        """Notes how the front end ended. If it was killed, what it had in memory is not known."""
        if self._exit_code:  # it was to be killed
            return
        if ending == -signal.SIGKILL:
            log.critical(
                "the front end was killed: hits that it kept in memory are lost, if there were any",
                extra={"action": "front_end_killed"},
            )
        if ending in {HITS_LOST, -signal.SIGKILL}:
            self._exit_code = HITS_LOST

    def _signal(self, number: int) -> None:
        if not self._signalled.is_set():
            self._signalled.set()
            return
        log.warning("second signal: killing all processes", extra={"action": "killing"})
        self._exit_code = 128 + number
        for task in self._tasks:  # none is to be restarted, or reported as lost
            task.cancel()
        self._front_end.kill()
        self._backend.kill()

    def _remove_run_files(self) -> None:
        if not self._watch.check():
            self._settings_file.unlink(missing_ok=True)
            self._settings.gateway_socket.unlink(missing_ok=True)
            key_path(self._settings.gateway_socket).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            runtime_dir_path(self._settings.data_dir).rmdir()


def _ignore_hangup() -> None:
    log.info("SIGHUP is ignored: settings are read at the start", extra={"action": "hangup_ignored"})


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of children. They get the options from a file, and secrets on their standard input."""
    own = {PASSWORD_VARIABLE, *ACTIVATION_VARIABLES} | {option.variable for option in OPTIONS}
    return with_own_code({name: value for name, value in environment.items() if name not in own})


def _json(secrets: Mapping[str, str | None]) -> bytes:
    return json.dumps(secrets).encode()


def _front_end(
    settings: Settings,
    settings_file: Path,
    listening: socket.socket,
    data_dir: DataDir,
    environment: Mapping[str, str],
) -> Program:
    fd = listening.fileno()
    command = (*python_module(FRONT_END), "--settings", str(settings_file), "--fd", str(fd))
    # It writes the journal, so it inherits the lock: no other service may start while it runs, even if we have died.
    return Program(
        name="front end",
        command=command,
        environment=environment,
        directory=settings_file.parent,
        pass_fds=(fd, data_dir.lock_fd),
        talks=True,
        watch=data_dir.watch,
        input=_json(settings.secrets(("admin_key", "master_key"))),
    )
