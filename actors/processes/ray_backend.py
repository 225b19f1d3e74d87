"""Ray backend: the Ray that runs the actors, and the gateway to it.

The local Ray and its gateway are restarted together when Ray is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actors.process_setup.import_path import python_module
from actors.processes.child import Backoff, Program, SupervisedProcess
from actors.processes.ray_head import RayHead
from actors.settings.data_dir_watch import INTERVAL_S, DataDirWatch
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

GATEWAY: Final = "actors.gateway.main"
#: Ray takes seconds to start, so a first restart after a short wait is soon enough.
RAY_FIRST_BACKOFF_S: Final = 0.5
#: Time for Ray to stop when nothing needs it any longer.
RAY_STOPS_S: Final = 0.5


def gateway_program(
    settings_file: Path,
    secrets: bytes,
    ray_address: str,
    environment: Mapping[str, str],
    watch: DataDirWatch,
    advice: str | None = None,
) -> Program:
    """The program of the gateway's process, which reads `secrets` (JSON)."""
    command = (*python_module(GATEWAY), "--settings", str(settings_file), "--ray-address", ray_address)
    # Ray adds its driver's working directory to the import path of its workers.
    return Program(
        name="gateway",
        command=command,
        environment=environment,
        directory=settings_file.parent,
        advice=advice,
        watch=watch,
        input=secrets,
    )


class LocalRay:
    """A Ray that this service runs on this machine, and the gateway to it."""

    def __init__(
        self,
        head: RayHead,
        settings_file: Path,
        secrets: bytes,
        environment: Mapping[str, str],
        watch: DataDirWatch,
    ) -> None:
        self._head = head
        self._watch = watch
        self._secrets = secrets
        self._settings_file = settings_file
        self._environment = environment
        self._gateway: SupervisedProcess | None = None

    async def run(self) -> None:
        """Keeps both running. If this is cancelled, they keep running until `stop`."""
        backoff = Backoff(first_s=RAY_FIRST_BACKOFF_S)
        while True:
            if self._watch.check():  # Ray's token and log are in the data directory
                await asyncio.sleep(INTERVAL_S)
                continue
            began_s = time.monotonic()
            try:
                ending = await self._run_once()
            except (FeedbackLoopsError, OSError) as exc:
                ending = str(exc)
            delay_s = backoff.delay_s(time.monotonic() - began_s)
            log.error("Ray ended and will be restarted", extra={"action": "ray_lost", "ending": ending})
            await self._end_all()
            await asyncio.sleep(delay_s)

    async def _run_once(self) -> str:
        address = await self._head.start()
        log.info("Ray started", extra={"action": "ray_started", "address": address})
        environment = {**self._environment, **self._head.client_environment}
        self._gateway = SupervisedProcess(
            gateway_program(self._settings_file, self._secrets, address, environment, self._watch)
        )
        running = asyncio.create_task(self._gateway.run(), name="gateway")
        try:
            return await self._head.ended()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _end_all(self) -> None:
        if self._gateway is not None:
            # Without Ray the gateway has nothing to flush.
            await self._gateway.stop(0)
            self._gateway = None
        await self._head.remove()

    def drain(self) -> None:
        """Lets the loops finish their attempts and start no others, before `stop`."""
        if self._gateway is not None:
            self._gateway.signal_last(signal.SIGUSR1)

    async def stop(self, gateway_ends_s: float, ray_ends_s: float) -> None:
        """Stops the actors, then Ray; each by this loop time. Nothing runs afterwards."""
        if self._gateway is not None:
            await self._gateway.stop(_left_s(gateway_ends_s))
        await self._head.stop(min(_left_s(ray_ends_s), RAY_STOPS_S))

    def kill(self) -> None:
        """Kills everything now."""
        if self._gateway is not None:
            self._gateway.kill()
        self._head.kill()


class ExternalRay:
    """The gateway to an external Ray cluster, which outlives this service. It has the methods of `LocalRay`."""

    def __init__(
        self, address: str, settings_file: Path, secrets: bytes, environment: Mapping[str, str], watch: DataDirWatch
    ) -> None:
        program = gateway_program(settings_file, secrets, address, environment, watch, _joining_advice(address))
        self._gateway = SupervisedProcess(program)

    async def run(self) -> None:
        await self._gateway.run()

    def drain(self) -> None:
        """Does nothing: the loops keep running."""

    async def stop(self, gateway_ends_s: float, _ray_ends_s: float) -> None:
        await self._gateway.stop(_left_s(gateway_ends_s))

    def kill(self) -> None:
        self._gateway.kill()


def _left_s(ends_s: float) -> float:
    return max(ends_s - asyncio.get_running_loop().time(), 0.0)


def _joining_advice(address: str) -> str:
    return (
        f"cannot join the Ray at {address}? It must be running, with the same versions of Ray and Python. If it asks "
        "for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH for this service too"
    )
