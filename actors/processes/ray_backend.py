"""Ray and the gateway, kept running together: when Ray is lost both are started anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from actors.processes.child import Backoff, KeptRunning, Program
from actors.processes.ray_head import RayNode
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

GATEWAY: Final = "actors.gateway.main"
#: Ray takes seconds to start; when it dies at once there is no hurry to see it die again.
RAY_FIRST_BACKOFF_S: Final = 0.5


class Actors(Protocol):
    """What carries the actors, as the keeper sees it."""

    async def run(self) -> None:
        """Keeps them running until this is cancelled, and then leaves them as they are."""
        ...

    async def stop(self, gateway_s: float, ray_s: float) -> None:
        """Lets the gateway stop the actors for `gateway_s`, then Ray end for `ray_s`; nothing is left."""
        ...

    def kill(self) -> None:
        """Ends everything now."""
        ...


def gateway_program(
    settings_file: Path, ray_address: str, environment: Mapping[str, str], advice: str | None = None
) -> Program:
    """The gateway's process."""
    command = (sys.executable, "-m", GATEWAY, "--settings", str(settings_file), "--ray-address", ray_address)
    return Program(name="gateway", command=command, environment=environment, advice=advice)


class OwnRay:
    """A Ray of our own, and the gateway to it."""

    def __init__(self, node: RayNode, settings_file: Path, environment: Mapping[str, str]) -> None:
        self._node = node
        self._settings_file = settings_file
        self._environment = environment
        self._gateway: KeptRunning | None = None

    async def run(self) -> None:
        """See `Actors.run`."""
        backoff = Backoff(first_s=RAY_FIRST_BACKOFF_S)
        while True:
            began_s = time.monotonic()
            try:
                ending = await self._run_once()
            except (FeedbackLoopsError, OSError) as exc:
                ending = str(exc)
            delay_s = backoff.delay_s(time.monotonic() - began_s)
            log.error("Ray is lost and is started anew", extra={"action": "ray_lost", "ending": ending})
            await self._end_all()
            await asyncio.sleep(delay_s)

    async def _run_once(self) -> str:
        address = await self._node.start()
        log.info("Ray answers", extra={"action": "ray_started", "address": address})
        environment = {**self._environment, **self._node.credentials}
        self._gateway = KeptRunning(gateway_program(self._settings_file, address, environment))
        running = asyncio.create_task(self._gateway.run(), name="gateway")
        try:
            return await self._node.ended()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _end_all(self) -> None:
        if self._gateway is not None:
            # Without Ray there is nothing that it could flush to.
            await self._gateway.stop(0)
            self._gateway = None
        await self._node.remove()

    async def stop(self, gateway_s: float, ray_s: float) -> None:
        """See `Actors.stop`."""
        if self._gateway is not None:
            await self._gateway.stop(gateway_s)
        await self._node.stop(ray_s)

    def kill(self) -> None:
        """See `Actors.kill`."""
        if self._gateway is not None:
            self._gateway.kill()
        self._node.kill()


def _joining_advice(address: str) -> str:
    return (
        f"cannot join the Ray at {address}? It must run, with the same versions of Ray and Python; when it asks for a "
        "token, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH must be set for this service too"
    )


class GivenRay:
    """The gateway to a Ray that somebody else runs, and that goes on without us."""

    def __init__(self, address: str, settings_file: Path, environment: Mapping[str, str]) -> None:
        self._gateway = KeptRunning(gateway_program(settings_file, address, environment, _joining_advice(address)))

    async def run(self) -> None:
        """See `Actors.run`."""
        await self._gateway.run()

    async def stop(self, gateway_s: float, _ray_s: float) -> None:
        """See `Actors.stop`."""
        await self._gateway.stop(gateway_s)

    def kill(self) -> None:
        """See `Actors.kill`."""
        self._gateway.kill()
