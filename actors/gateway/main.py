"""The gateway's process: joins Ray, starts the actors, and serves front ends.

    python -m actors.gateway.main --settings FILE --ray-address HOST:PORT

It holds nothing that outlives it. When Ray is lost it ends, and the keeper starts it again with a new Ray.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any, Final

import ray
import uvloop

from actors import bootstrap, options, remote
from actors.gateway.gateway import Gateway
from actors.gateway.pipeline import Pipeline
from actors.links.frame_server import FrameServer
from actors.processes.log_lines import configure
from actors.ray_calls import Actors
from actors.settings import Settings
from domain.errors import FeedbackLoopsError, StoreUnavailable

log = logging.getLogger("feedback_loops.gateway")

START_TIMEOUT_S: Final = 60.0
#: Between two looks whether the store can be reached, at the start.
STORE_POLL_S: Final = 0.5
#: For all of the stop, but for the interpreter's own: the keeper kills what takes longer (`keeper.GATEWAY_STOP_S`).
STOP_S: Final = 3.0
#: Of that, for the answers under way; the front end is gone by then, and waits for none.
DRAIN_S: Final = 0.5
#: Of that, kept back for the ledger, however long the loops take.
LEDGER_STOP_S: Final = 0.8


def create_ledger(plain: dict[str, Any]) -> None:
    """Creates the ledger's actor, if it is not there yet."""
    remote.Ledger.options(**options.ledger()).remote(plain)


def create_readers(plain: dict[str, Any], enrichers: int) -> None:
    """Creates the actors that read the store, those that are not there yet."""
    remote.Supervisor.options(**options.supervisor()).remote(plain)
    for number in range(enrichers):
        remote.Enricher.options(**options.enricher(number)).remote(plain)


async def store_is_there(actors: Actors) -> None:
    """Returns when the ledger can be written, however long the store takes to come; readers have nothing before.

    Raises:
        Unavailable: the ledger's actor did not come up.
    """
    while True:
        try:
            await actors.ask(options.LEDGER, "ping", timeout_s=START_TIMEOUT_S)
        except StoreUnavailable:  # the ledger logs why, and `/readyz` says so
            await asyncio.sleep(STORE_POLL_S)
        else:
            return


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


async def _start_readers(actors: Actors, plain: dict[str, Any], enrichers: int) -> None:
    await store_is_there(actors)
    await asyncio.to_thread(create_readers, plain, enrichers)


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    actors = Actors()
    plain = settings.to_dict()
    await asyncio.to_thread(create_ledger, plain)
    pipeline = Pipeline(actors, bootstrap.links(settings, actors), settings.enrichers)
    service = bootstrap.service(settings, actors, pipeline)
    server = FrameServer(Gateway(pipeline.record_hits, service.handle).answer)
    # Before the store is there: somebody has to say that it is not.
    await server.listen_at(settings.gateway_socket)
    # The ledger makes the store: only when it answers is there one to read.
    starting = asyncio.create_task(_start_readers(actors, plain, settings.enrichers), name="start")
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        log.info("the gateway serves", extra={"action": "gateway_serves"})
    await stopped
    starting.cancel()
    ends_s = loop.time() + STOP_S
    await server.stop(DRAIN_S)
    if settings.ray_address is None:  # a cluster that was there before us goes on without us
        await stop_actors(actors, ends_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--ray-address", required=True)
    arguments = parser.parse_args()
    settings = Settings.from_dict(json.loads(arguments.settings.read_text()))
    configure(settings.log_level, "gateway", settings.log_format)
    ray.init(arguments.ray_address, namespace=options.NAMESPACE, log_to_driver=False, configure_logging=False)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
