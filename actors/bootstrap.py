"""The only wiring: builds each core from settings and the real adapters, in the process where the core will live."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import ray

from actors.adapters.clock import SystemClock
from actors.adapters.passwords import Argon2Passwords
from actors.adapters.prover import HttpProver
from actors.adapters.resolver import HandlerResolver
from actors.adapters.sender import HttpSender
from actors.delivery.duty import Duty
from actors.delivery.feedback_loop import FeedbackLoopCore
from actors.enricher import Enricher
from actors.gateway.pipeline import Pipeline
from actors.ledger import stores
from actors.ledger.reader_port import LedgerReader
from actors.ledger.writer import Ledger
from actors.links.frame_server import Answer
from actors.links.links import Door, Links, link_token
from actors.loops.directory import LoopDirectory, RayLauncher
from actors.loops.supervisor import Supervisor
from actors.ray_calls import Actors
from actors.ray_ports import RemoteLanes, RemoteLedger
from actors.retention import Retention
from actors.service.service import Service
from actors.settings import Settings
from domain.handler_policy import HandlerPolicy
from domain.keys import derive


def _settings(plain: dict[str, Any]) -> Settings:
    return Settings.from_dict(plain)


def ledger(plain: dict[str, Any]) -> Ledger:
    """The writer, for the ledger's actor."""
    return stores.writer(_settings(plain))


def retention(plain: dict[str, Any], core: Ledger) -> Retention:
    """What keeps the ledger's disk use level, beside its writer."""
    settings = _settings(plain)
    return Retention(
        core,
        SystemClock(),
        deliveries_days=settings.keep_deliveries_days,
        attempts_days=settings.keep_attempts_days,
        events_days=settings.keep_events_days,
    )


def reader(settings: Settings) -> LedgerReader:
    """A reader of its own for each process. The store is made by the ledger's actor, which is started first."""
    return stores.reader(settings)


def links(settings: Settings, actors: Actors) -> Links:
    """A process's links to the actors."""
    return Links(actors, link_token(settings.master_key))


def door(plain: dict[str, Any], answer: Answer) -> Door:
    """The server of frames of an actor. On a cluster it listens where the other nodes reach this one."""
    settings = _settings(plain)
    host = "127.0.0.1" if settings.ray_address is None else str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return Door(answer, link_token(settings.master_key), host)


def _resolver(settings: Settings) -> HandlerResolver:
    return HandlerResolver(HandlerPolicy(settings.allowed_handler_networks))


def enricher(plain: dict[str, Any]) -> Enricher:
    """The core of an enrichment actor."""
    settings, actors = _settings(plain), Actors()
    connections = links(settings, actors)
    return Enricher(RemoteLedger(actors, connections), reader(settings), RemoteLanes(connections))


def feedback_loop(plain: dict[str, Any], loop_id: str) -> FeedbackLoopCore:
    """The core of a loop's actor."""
    settings = _settings(plain)
    resolver, actors = _resolver(settings), Actors()
    return FeedbackLoopCore(
        loop_id=loop_id,
        ledger=RemoteLedger(actors, links(settings, actors)),
        reader=reader(settings),
        sender=HttpSender(resolver),
        prover=HttpProver(resolver, nameserver=settings.nameserver),
        resolver=resolver,
        clock=SystemClock(),
        master_key=settings.master_key,
        retry_schedule=settings.retry_schedule,
        delivery_timeout_s=settings.delivery_timeout_s,
        disable_after_s=settings.disable_after_s,
        random=random.SystemRandom(),
        duty=Duty(time.monotonic, time.process_time),
    )


def supervisor(plain: dict[str, Any], create_loop: Callable[[str], Any]) -> Supervisor:
    """The core of the supervisor's actor. `create_loop` makes a loop's actor, or finds it."""
    return Supervisor(reader(_settings(plain)), RayLauncher(Actors(), create_loop))


def service(settings: Settings, actors: Actors, pipeline: Pipeline) -> Service:
    """What the gateway hands commands to."""
    ledger = RemoteLedger(actors, links(settings, actors))
    return Service(
        ledger=ledger,
        keys=ledger,
        reader=reader(settings),
        loops=LoopDirectory(actors),
        url_check=_resolver(settings),
        clock=SystemClock(),
        random_bytes=os.urandom,
        passwords=Argon2Passwords(derive(settings.master_key, "passwords")),
        master_key=settings.master_key,
        problems=pipeline.problems,
    )
