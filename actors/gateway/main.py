"""Gateway process: joins Ray, starts the actors, and serves front ends.

    python -m actors.gateway.main --settings FILE --ray-address HOST:PORT

It keeps no state. When Ray is lost the process ends; the `serve` process starts it again, and it waits for Ray.
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

from actors.actor_names import LEDGER, SUPERVISOR, enricher_name
from actors.gateway.dispatcher import Dispatcher, EnricherBalancer
from actors.gateway.readiness import ReadinessCheck
from actors.ipc.server import FrameServer
from actors.metrics import catalogue
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.ray_runtime.bootstrap import ProcessContext
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.deployment import DEPLOYMENT, Deployment
from actors.ray_runtime.fleet_launcher import RayFleetLauncher
from actors.ray_runtime.join import JoinedRay, head_answers, join
from actors.ray_runtime.rollout import Rollout
from actors.settings.settings import Settings
from domain.errors import Conflict, FeedbackLoopsError

log = logging.getLogger("feedback_loops.gateway")

#: Limit of the whole stop, except the interpreter's own; `serve_supervisor.GATEWAY_STOP_S` is when it is killed.
STOP_S: Final = 3.0
#: Share of that for requests in flight. The front end has ended by then, and waits for none of them.
DRAIN_S: Final = 0.5
#: Share of that for the ledger, however long the loops take.
LEDGER_STOP_S: Final = 0.8
#: Pause before another try when only people can fix the problem.
REFUSED_S: Final = 60.0
RETRY_S: Final = 0.5


async def stop_actors(actors: ActorClient, ends_s: float) -> None:
    """Lets the loops record their finished deliveries, then closes the ledger; all by loop time `ends_s`."""
    await _stop_actor(actors, SUPERVISOR, ends_s - LEDGER_STOP_S)
    await _stop_actor(actors, LEDGER, ends_s)


async def _stop_actor(actors: ActorClient, name: str, ends_s: float) -> None:
    left_s = max(ends_s - asyncio.get_running_loop().time(), 0.0)
    try:
        await actors.call(name, "stop", timeout_s=left_s)
    except FeedbackLoopsError as exc:
        log.warning("an actor did not stop in time", extra={"action": "stop_failed", "actor": name, "error": str(exc)})


class GatewayProcess:
    """The life of a gateway. Until it is ready, it answers requests with the reason why it is not."""

    def __init__(self, settings: Settings, started_ms: int, ray_address: str) -> None:
        self._settings = settings
        self._deployment = Deployment.of(settings, started_ms)
        self._ray_address = ray_address
        self._dispatcher = Dispatcher(f"waiting for Ray at {ray_address}")
        self._context = ProcessContext(settings, catalogue.GATEWAY)
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serves until SIGTERM, or until Ray is lost. Returns the exit code."""
        loop = asyncio.get_running_loop()
        self._handle_signals()
        server = FrameServer(self._dispatcher.handle)
        await server.listen_at(self._settings.gateway_socket)
        serving = asyncio.create_task(self._serve(), name="serve")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        ends_s = loop.time() + STOP_S
        if serving.done():
            stop.cancel()
            log.error("Ray is lost", extra={"action": "ray_lost", "ending": serving.exception() or serving.result()})
            await server.stop(0)
            return 1
        serving.cancel()
        await server.stop(DRAIN_S)
        if self._settings.ray_address is None:  # an external cluster keeps running without this gateway
            await stop_actors(self._context.actors, ends_s)
        return 0

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            loop.add_signal_handler(number, self._stopping.set)

    async def _serve(self) -> str:
        """Serves until Ray is lost, and returns the sign of the loss."""
        await head_answers(self._ray_address)
        self._dispatcher.wait_for(
            f"joining Ray at {self._ray_address} by way of the Ray node on this machine, which must run "
            f"(`ray start --address={self._ray_address}`)"
        )
        joined = await join(self._ray_address)
        self._handle_signals()  # Ray has replaced the handlers with its own
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
        context = self._context
        try:
            rollout = await self._rollout(joined)
        except Conflict as exc:
            self._dispatcher.wait_for(str(exc))
            log.critical("the service cannot run with these settings", extra={"action": "refused", "problem": str(exc)})
            await asyncio.sleep(REFUSED_S)
            raise
        enrichers = [enricher_name(number) for number in range(self._settings.enrichers)]
        readiness = ReadinessCheck(context.actors, enrichers, lambda: rollout.problem)
        application = context.application(readiness.problems)
        self._dispatcher.open(EnricherBalancer(context.pool, enrichers).record, application.handle)
        log.info("the gateway serves", extra={"action": "gateway_serves"})
        await rollout.keep()

    async def _rollout(self, joined: JoinedRay) -> Rollout:
        """The rollout, once all actors answer."""
        settings: dict[str, Any] = self._settings.to_dict() | {DEPLOYMENT: self._deployment.text()}
        launcher = RayFleetLauncher(self._context.actors, settings, ledger_at(self._settings, joined))
        rollout = Rollout(self._context.actors, launcher, self._deployment, self._settings.enrichers)
        await all_there(rollout, self._dispatcher.wait_for)
        return rollout


async def all_there(rollout: Rollout, report: Callable[[str], None]) -> None:
    """Returns when all actors answer, however long the store is unavailable; meanwhile reports what is missing.

    Raises:
        Conflict: they never will.
    """
    problem = ""
    while True:
        try:
            await rollout.set_up()
        except Conflict:
            raise
        except FeedbackLoopsError as exc:
            if str(exc) != problem:
                problem = str(exc)
                log.warning("waiting for the actors", extra={"action": "actors_awaited", "problem": problem})
            report(problem)
            await asyncio.sleep(RETRY_S)
        else:
            return


def ledger_at(settings: Settings, joined: JoinedRay) -> str | None:
    """The address of the node that the ledger must run on; None: any node.

    Raises:
        Conflict: the ledger is a file, and the cluster has other machines.
    """
    if settings.store is not None or settings.ray_address is None:
        return None
    others = sorted(set(joined.addresses) - {joined.own_address})
    if others:
        raise Conflict(
            f"SQLite is a file on this machine, and the Ray at {settings.ray_address} has other machines too "
            f"({', '.join(others)}): keep the ledger on PostgreSQL with --store postgresql://…"
        )
    return joined.own_address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--ray-address", required=True)
    arguments = parser.parse_args()
    plain = json.loads(arguments.settings.read_text())
    settings = Settings.from_dict(plain)
    configure_logging(settings.log_level, "gateway", settings.log_format)
    tune_gc()
    process = GatewayProcess(settings, int(plain["started_ms"]), arguments.ray_address)
    sys.exit(uvloop.run(process.run()))


if __name__ == "__main__":
    main()
