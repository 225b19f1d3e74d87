"""Gateway process: joins Ray, starts the actors, and serves front ends.

    python -m actors.gateway.main --settings FILE --ray-address HOST:PORT < SECRETS

It keeps no state. When Ray is lost the process ends; the `serve` process starts it again, and it waits for Ray.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from actors.actor_names import enricher_name
from actors.application.installation_keys import InstallationKeyService
from actors.application.key_sync import KeySync, first_refresh
from actors.gateway.actor_stop import ActorStop
from actors.gateway.dispatcher import Dispatcher, EnricherBalancer
from actors.gateway.erasure_gate import ErasureGate
from actors.gateway.readiness import ReadinessCheck
from actors.installation.erasure_file import FILE
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.ipc.server import FrameServer
from actors.ipc.socket_key import make_key
from actors.ledger.factory import make_key_ring_store
from actors.metrics import catalogue
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.ray_runtime import cluster_state
from actors.ray_runtime.deployment import DEPLOYMENT, Deployment
from actors.ray_runtime.fleet_launcher import RayFleetLauncher
from actors.ray_runtime.join import JoinedRay, head_answers, join
from actors.ray_runtime.role_secrets import SecretsServer
from actors.ray_runtime.rollout import Rollout
from actors.ray_runtime.wiring import ProcessContext
from actors.settings import Settings
from domain.errors import Conflict, FeedbackLoopsError, StoreError

log = logging.getLogger("feedback_loops.gateway")

#: Seconds of a stop for requests in flight. The front end has ended by then, and waits for none of them.
DRAIN_S: Final = 0.5
#: Pause before another try when only people can fix the problem.
REFUSED_S: Final = 60.0
RETRY_S: Final = 0.5


class GatewayProcess:
    """The life of a gateway. Until it is ready, it answers requests with the reason why it is not."""

    def __init__(self, settings: Settings, started_ms: int, ray_address: str) -> None:
        self._settings = settings
        self._started_ms = started_ms
        self._keys = InstallationKeys(MasterKeySource.of(settings))
        self._key_file = KeyFile(settings.data_dir, settings.watch())
        self._ray_address = ray_address
        self._dispatcher = Dispatcher(f"waiting for Ray at {ray_address}")
        self._context = ProcessContext(settings, catalogue.GATEWAY)
        store = make_key_ring_store(settings)
        self._key_sync = KeySync(
            self._keys, self._key_file, store, self._context.clock, may_create=not settings.no_init
        )
        self._key_problem = ""
        self._stopping = asyncio.Event()
        self._actor_stop = ActorStop(self._context.actors)

    async def run(self) -> int:
        """Serves until SIGTERM, or until Ray is lost. Returns the exit code.

        SIGUSR1 comes before SIGTERM when the front end still has hits to forward: the loops stop already.
        """
        self._handle_signals()
        path = self._settings.gateway_socket
        server = FrameServer(self._dispatcher.handle, await asyncio.to_thread(make_key, path))
        await server.listen_at(path)
        serving = asyncio.create_task(self._serve(), name="serve")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            stop.cancel()
            error = serving.exception()
            facts = {"action": "ray_lost", "ending": error or serving.result()}
            log.error("Ray is lost", exc_info=error if isinstance(error, ExceptionGroup) else None, extra=facts)
            await server.stop(0)
            return 1
        serving.cancel()
        await server.stop(DRAIN_S)
        if self._settings.ray_address is None:  # an external cluster keeps running without this gateway
            await self._actor_stop.finish()
        return 0

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGUSR1, self._actor_stop.drain)

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
            await first_refresh(self._key_sync, self._report_keys, RETRY_S)
            rollout = await self._rollout(joined)
        except Conflict as exc:
            self._dispatcher.wait_for(str(exc))
            log.critical("the service cannot run with these settings", extra={"action": "refused", "problem": str(exc)})
            await asyncio.sleep(REFUSED_S)
            raise
        enrichers = [enricher_name(number) for number in range(self._settings.enrichers)]
        readiness = ReadinessCheck(context.actors, enrichers, lambda: rollout.problem)
        keys = InstallationKeyService(self._key_sync, self._keys, context.reader, context.loops, context.clock)

        async def problems() -> list[FeedbackLoopsError]:
            wrong = self._key_sync.problem
            return ([wrong] if wrong else []) + await readiness.problems()

        application = context.application(problems, self._keys, keys)
        self._dispatcher.open(EnricherBalancer(context.pool, enrichers).record, application.handle)
        log.info("the gateway serves", extra={"action": "gateway_serves"})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._key_sync.keep(), name="keys")
            tasks.create_task(keys.follow_keys(), name="secrets of loops")
            tasks.create_task(rollout.keep(), name="rollout")

    def _report_keys(self, problem: FeedbackLoopsError) -> None:
        if str(problem) != self._key_problem:
            self._key_problem = str(problem)
            log.warning("waiting for the keys", extra={"action": "keys_awaited", "problem": self._key_problem})
        self._dispatcher.wait_for(problem if isinstance(problem, StoreError) else str(problem))

    async def _rollout(self, joined: JoinedRay) -> Rollout:
        """The rollout, once all actors answer."""
        deployment = Deployment.of(self._settings, self._keys.known_ring.installation, self._started_ms)
        store_at = ledger_at(self._settings, joined)
        await self._serve_secrets(deployment, joined.own_address)
        settings: dict[str, str | None] = self._settings.to_dict() | {DEPLOYMENT: deployment.text()}
        launcher = RayFleetLauncher(self._context.actors, settings, store_at)
        gate = ErasureGate(
            [path for path in (self._settings.data_dir / FILE, self._settings.erasures_file) if path is not None],
            self._context.remote_ledger,
            self._context.reader,
        )
        rollout = Rollout(self._context.actors, launcher, deployment, self._settings.enrichers, gate.pass_through)
        await all_there(rollout, self._dispatcher.wait_for)
        return rollout

    async def _serve_secrets(self, deployment: Deployment, address: str) -> None:
        """Answers actors that ask for their secrets."""
        secrets = SecretsServer(deployment.installation, deployment.options["store"], self._settings.store, self._keys)
        server = FrameServer(secrets.handle, self._context.link_key)
        host, port = await server.listen_on("127.0.0.1" if self._settings.ray_address is None else address)
        front_end, _ = await asyncio.to_thread(self._key_file.read)
        await asyncio.to_thread(cluster_state.list_gateway, front_end, host, port)


async def all_there(rollout: Rollout, report: Callable[[str | StoreError], None]) -> None:
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
            report(exc if isinstance(exc, StoreError) else problem)
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
    plain = json.loads(arguments.settings.read_text()) | json.loads(sys.stdin.read())
    settings = Settings.from_dict(plain)
    configure_logging(settings.log_level, "gateway", settings.log_format)
    tune_gc()
    try:
        process = GatewayProcess(settings, int(plain["started_ms"]), arguments.ray_address)
    except Conflict as exc:
        log.critical("the service cannot run with this Ray", extra={"action": "refused", "problem": str(exc)})
        sys.exit(1)
    exit_code = uvloop.run(process.run())
    if settings.ray_address is None:
        # Ray's own clean-up at exit takes most of a second, and this Ray ends now anyway.
        logging.shutdown()
        os._exit(exit_code)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
