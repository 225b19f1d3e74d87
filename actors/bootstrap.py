"""The only wiring: builds each core from settings and the real adapters, in the process where the core will live."""

from __future__ import annotations

import os
import random
from typing import Any

from actors import options
from actors.adapters.clock import SystemClock
from actors.adapters.prover import HttpProver
from actors.adapters.resolver import HandlerResolver
from actors.adapters.sender import HttpSender
from actors.enricher import Enricher
from actors.feedback_loop import FeedbackLoopCore
from actors.ledger.reader import SQLiteLedgerReader
from actors.ledger.reader_port import LedgerReader
from actors.ledger.writer import SQLiteLedger
from actors.loops import LoopDirectory, RayLauncher
from actors.pipeline import Pipeline
from actors.ray_calls import Actors
from actors.ray_ports import RayLanes, RayLedger
from actors.service import Service
from actors.settings import Settings
from actors.supervisor import Supervisor
from domain.handler_policy import HandlerPolicy


def _settings(plain: dict[str, Any]) -> Settings:
    return Settings.from_dict(plain)


def ledger(plain: dict[str, Any]) -> SQLiteLedger:
    """The writer, for the ledger's actor."""
    return SQLiteLedger(_settings(plain).data_dir / "ledger.sqlite")


def reader(settings: Settings) -> LedgerReader:
    """A reader of its own for each process. The store is made by the ledger's actor, which is started first."""
    return SQLiteLedgerReader(settings.data_dir / "ledger.sqlite")


def _resolver(settings: Settings) -> HandlerResolver:
    return HandlerResolver(HandlerPolicy(settings.allowed_handler_networks))


def enricher(plain: dict[str, Any]) -> Enricher:
    """The core of an enrichment actor."""
    actors = Actors()
    return Enricher(RayLedger(actors), reader(_settings(plain)), RayLanes(actors))


def feedback_loop(plain: dict[str, Any], loop_id: str) -> FeedbackLoopCore:
    """The core of a loop's actor."""
    settings = _settings(plain)
    resolver = _resolver(settings)
    return FeedbackLoopCore(
        loop_id=loop_id,
        ledger=RayLedger(Actors()),
        reader=reader(settings),
        sender=HttpSender(resolver),
        prover=HttpProver(resolver, nameserver=settings.nameserver),
        resolver=resolver,
        clock=SystemClock(),
        master_key=settings.master_key,
        retry_schedule=settings.retry_schedule,
        delivery_timeout_s=settings.delivery_timeout_s,
        random=random.SystemRandom(),
    )


def supervisor(plain: dict[str, Any]) -> Supervisor:
    """The core of the supervisor's actor."""
    from actors import remote  # noqa: PLC0415  remote imports this module: the two meet only inside a process of Ray's

    def create(loop_id: str) -> None:
        remote.FeedbackLoop.options(**options.feedback_loop(loop_id)).remote(plain, loop_id)

    return Supervisor(reader(_settings(plain)), RayLauncher(Actors(), create))


def service(settings: Settings, actors: Actors, pipeline: Pipeline) -> Service:
    """What the gateway hands commands to."""
    ray_ledger = RayLedger(actors)
    return Service(
        ledger=ray_ledger,
        keys=ray_ledger,
        reader=reader(settings),
        loops=LoopDirectory(actors),
        url_check=_resolver(settings),
        clock=SystemClock(),
        random_bytes=os.urandom,
        master_key=settings.master_key,
        problems=pipeline.problems,
    )
