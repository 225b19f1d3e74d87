"""Ray backend: the Ray that runs the actors, and the gateway to it.

The local Ray and its gateway are restarted together when Ray is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actors.processes.child import Backoff, Program, SupervisedProcess
from actors.processes.ray_head import RayHead
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

GATEWAY: Final = "actors.gateway.main"
#: Ray takes seconds to start, so a first restart after a short wait is soon enough.
RAY_FIRST_BACKOFF_S: Final = 0.5


def gateway_program(
    settings_file: Path, ray_address: str, environment: Mapping[str, str], advice: str | None = None
) -> Program:
    """The program of the gateway's process."""
    command = (sys.executable, "-m", GATEWAY, "--settings", str(settings_file), "--ray-address", ray_address)
    return Program(name="gateway", command=command, environment=environment, advice=advice)


class LocalRay:
    """A Ray that this service runs on this machine, and the gateway to it."""

    def __init__(self, head: RayHead, settings_file: Path, environment: Mapping[str, str]) -> None:
        self._head = head
        self._settings_file = settings_file
        self._environment = environment
        self._gateway: SupervisedProcess | None = None

    async def run(self) -> None:
        """Keeps both running. If this is cancelled, they keep running until `stop`."""
        backoff = Backoff(first_s=RAY_FIRST_BACKOFF_S)
        while True:
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
        environment = {**self._environment, **self._head.credentials}
        self._gateway = SupervisedProcess(gateway_program(self._settings_file, address, environment))
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

    async def stop(self, gateway_s: float, ray_s: float) -> None:
        """Stops the actors within `gateway_s` and Ray within `ray_s`. Nothing runs afterwards."""
        if self._gateway is not None:
            await self._gateway.stop(gateway_s)
        await self._head.stop(ray_s)

    def kill(self) -> None:
        """Kills everything now."""
        if self._gateway is not None:
            self._gateway.kill()
        self._head.kill()


class ExternalRay:
    """The gateway to an external Ray cluster, which outlives this service. It has the methods of `LocalRay`."""

    def __init__(self, address: str, settings_file: Path, environment: Mapping[str, str]) -> None:
        program = gateway_program(settings_file, address, environment, _joining_advice(address))
        self._gateway = SupervisedProcess(program)

    async def run(self) -> None:
        await self._gateway.run()

    async def stop(self, gateway_s: float, _ray_s: float) -> None:
        await self._gateway.stop(gateway_s)

    def kill(self) -> None:
        self._gateway.kill()


def _joining_advice(address: str) -> str:
    return (
        f"cannot join the Ray at {address}? It must be running, with the same versions of Ray and Python. If it asks "
        "for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH for this service too"
    )
