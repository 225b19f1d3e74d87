"""The gateway's process: joins Ray, starts the actors, and serves front ends.

    python -m actors.gateway.main --settings FILE --ray-address HOST:PORT

It holds nothing that outlives it. When Ray is lost it ends; the keeper starts it again, and it waits for Ray.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvloop

from actors.gateway.dispatcher import Gateway
from actors.gateway.pipeline import Pipeline
from actors.gateway.reception import Reception
from actors.ipc.server import FrameServer
from actors.process_setup.gc_tuning import tame
from actors.process_setup.logging_setup import configure
from actors.ray_runtime import bootstrap, options
from actors.ray_runtime.calls import Actors
from actors.ray_runtime.deployment import EDITION, Edition
from actors.ray_runtime.fleet_launcher import RayLauncher
from actors.ray_runtime.join import JoinedRay, head_answers, join
from actors.ray_runtime.rollout import Fleet
from actors.settings import Settings
from domain.errors import Conflict, FeedbackLoopsError

log = logging.getLogger("feedback_loops.gateway")

#: For all of the stop, but for the interpreter's own: the keeper kills what takes longer (`keeper.GATEWAY_STOP_S`).
STOP_S: Final = 3.0
#: Of that, for the answers under way; the front end is gone by then, and waits for none.
DRAIN_S: Final = 0.5
#: Of that, kept back for the ledger, however long the loops take.
LEDGER_STOP_S: Final = 0.8
#: What only people can put right is looked at again after so long.
REFUSED_S: Final = 60.0
RETRY_S: Final = 0.5


async def stop_actors(actors: Actors, ends_s: float) -> None:
    """Lets the loops record what they have in hand, then closes the ledger; all by loop time `ends_s`."""
    await _stop_actor(actors, options.SUPERVISOR, ends_s - LEDGER_STOP_S)
    await _stop_actor(actors, options.LEDGER, ends_s)


async def _stop_actor(actors: Actors, name: str, ends_s: float) -> None:
    left_s = max(ends_s - asyncio.get_running_loop().time(), 0.0)
    try:
        await actors.ask(name, "stop", timeout_s=left_s)
    except FeedbackLoopsError as exc:
        log.warning("an actor did not stop as asked", extra={"action": "stop_failed", "actor": name, "error": str(exc)})


class GatewayProcess:
    """From nothing to a gateway that serves. Until it does, whoever asks is told what it waits for."""

    def __init__(self, settings: Settings, started_ms: int, ray_address: str) -> None:
        self._settings = settings
        self._edition = Edition.of(settings, started_ms)
        self._ray_address = ray_address
        self._reception = Reception(f"waiting for Ray at {ray_address}")
        self._actors = Actors()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serves until SIGTERM, or until Ray is lost. Gives the exit code."""
        loop = asyncio.get_running_loop()
        self._heed_signals()
        server = FrameServer(self._reception.answer)
        await server.listen_at(self._settings.gateway_socket)
        serving = asyncio.create_task(self._serve(), name="serve")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        ends_s = loop.time() + STOP_S
        if serving.done():
            stop.cancel()
            log.error("Ray is lost", extra={"action": "ray_lost", "ending": _ending(serving)})
            await server.stop(0)
            return 1
        serving.cancel()
        await server.stop(DRAIN_S)
        if self._settings.ray_address is None:  # a cluster that was there before us goes on without us
            await stop_actors(self._actors, ends_s)
        return 0

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            loop.add_signal_handler(number, self._stopping.set)

    async def _serve(self) -> str:
        """Serves until Ray is lost, and gives what shows that."""
        await head_answers(self._ray_address)
        self._reception.say(
            f"joining Ray at {self._ray_address} by way of the Ray node on this machine, which must run "
            f"(`ray start --address={self._ray_address}`)"
        )
        joined = await join(self._ray_address)
        self._heed_signals()  # Ray has put handlers of its own in the place of ours
        lost = asyncio.create_task(joined.lost(), name="lost")
        working = asyncio.create_task(self._work(joined), name="work")
        try:
            await asyncio.wait({lost, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
            return "the Ray node on this machine has ended"
        finally:
            lost.cancel()
            working.cancel()

    async def _work(self, joined: JoinedRay) -> None:
        settings, actors = self._settings, self._actors
        try:
            fleet = await self._fleet(joined)
        except Conflict as exc:
            self._reception.say(str(exc))
            log.critical("the service cannot work like this", extra={"action": "refused", "problem": str(exc)})
            await asyncio.sleep(REFUSED_S)
            raise
        pipeline = Pipeline(actors, bootstrap.links(settings, actors), settings.enrichers, lambda: fleet.problem)
        service = bootstrap.service(settings, actors, pipeline)
        self._reception.open(Gateway(pipeline.record_intake, service.handle).answer)
        log.info("the gateway serves", extra={"action": "gateway_serves"})
        await fleet.keep()

    async def _fleet(self, joined: JoinedRay) -> Fleet:
        """The actors, when all are there."""
        settings: dict[str, Any] = self._settings.to_dict() | {EDITION: self._edition.text()}
        launcher = RayLauncher(self._actors, settings, ledger_at(self._settings, joined))
        fleet = Fleet(self._actors, launcher, self._edition, self._settings.enrichers)
        await all_there(fleet, self._reception.say)
        return fleet


async def all_there(fleet: Fleet, say: Callable[[str], None]) -> None:
    """Returns when all actors are there, however long the store takes to come; says meanwhile what is missing.

    Raises:
        Conflict: they can never be.
    """
    problem = ""
    while True:
        try:
            await fleet.set_up()
        except Conflict:
            raise
        except FeedbackLoopsError as exc:
            if str(exc) != problem:
                problem = str(exc)
                log.warning("the actors are not all there", extra={"action": "actors_awaited", "problem": problem})
            say(problem)
            await asyncio.sleep(RETRY_S)
        else:
            return


def ledger_at(settings: Settings, joined: JoinedRay) -> str | None:
    """The address of the node where the ledger must be; None: anywhere.

    Raises:
        Conflict: it would have to be on this machine and on others.
    """
    if settings.store is not None or settings.ray_address is None:
        return None
    others = sorted(set(joined.addresses) - {joined.own_address})
    if others:
        raise Conflict(
            f"SQLite is a file on this machine, and the Ray at {settings.ray_address} has others too "
            f"({', '.join(others)}): keep the ledger on PostgreSQL with --store postgresql://…"
        )
    return joined.own_address


def _ending(serving: asyncio.Task[str]) -> object:
    return serving.exception() or serving.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--ray-address", required=True)
    arguments = parser.parse_args()
    plain = json.loads(arguments.settings.read_text())
    settings = Settings.from_dict(plain)
    configure(settings.log_level, "gateway", settings.log_format)
    tame()
    process = GatewayProcess(settings, int(plain["started_ms"]), arguments.ray_address)
    sys.exit(uvloop.run(process.run()))


if __name__ == "__main__":
    main()
