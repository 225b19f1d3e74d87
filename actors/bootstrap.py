"""The only wiring: builds each core from settings and the real adapters, in the process where the core will live."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import ray

from actors.adapters.clock import SystemClock
from actors.adapters.prover import HttpProver
from actors.adapters.resolver import HandlerResolver
from actors.adapters.sender import HttpSender
from actors.delivery.feedback_loop import FeedbackLoopCore
from actors.delivery.in_hand import SharedBytes
from actors.enricher import Enricher
from actors.gateway.pipeline import Pipeline
from actors.ledger.reader_port import LedgerReader
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedger
from actors.links.frame_server import Answer
from actors.links.links import Door, Links, link_token
from actors.loops.directory import LoopDirectory
from actors.loops.host import LoopHost
from actors.loops.ray_launcher import RayLauncher
from actors.loops.supervisor import Supervisor
from actors.ray_calls import Actors
from actors.ray_ports import RemoteLanes, RemoteLedger, followed_places
from actors.retention import Retention
from actors.service.service import Service
from actors.settings import Settings
from domain.handler_policy import HandlerPolicy


def _settings(plain: dict[str, Any]) -> Settings:
    return Settings.from_dict(plain)


def ledger(plain: dict[str, Any]) -> SQLiteLedger:
    """The writer, for the ledger's actor."""
    return SQLiteLedger(_settings(plain).data_dir / "ledger.sqlite")


def retention(plain: dict[str, Any], core: SQLiteLedger) -> Retention:
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
    return SQLiteLedgerReader(settings.data_dir / "ledger.sqlite")


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
    places = followed_places(connections)
    places.start()
    return Enricher(RemoteLedger(actors, connections), reader(settings), RemoteLanes(connections, places))


def loop_host(plain: dict[str, Any]) -> LoopHost:
    """The core of an actor that holds loops, one or many."""
    settings, clock = _settings(plain), SystemClock()
    resolver, actors = _resolver(settings), Actors()
    ledger, store = RemoteLedger(actors, links(settings, actors)), reader(settings)
    sender, prover = HttpSender(resolver), HttpProver(resolver, nameserver=settings.nameserver)
    chance, shared_bytes = random.SystemRandom(), SharedBytes()

    def make_core(loop_id: str) -> FeedbackLoopCore:
        return FeedbackLoopCore(
            loop_id=loop_id,
            ledger=ledger,
            reader=store,
            sender=sender,
            prover=prover,
            resolver=resolver,
            clock=clock,
            master_key=settings.master_key,
            retry_schedule=settings.retry_schedule,
            delivery_timeout_s=settings.delivery_timeout_s,
            disable_after_s=settings.disable_after_s,
            random=chance,
            shared_bytes=shared_bytes,
        )

    node = ray.get_runtime_context().get_node_id()
    return LoopHost(life=uuid4().hex, node=node, make_core=make_core, reader=store, sender=sender, clock=clock)


def supervisor(plain: dict[str, Any], create: Callable[[str, str], Any]) -> Supervisor:
    """The core of the supervisor's actor. `create` makes the actor of a name on a node, or finds it."""
    settings = _settings(plain)
    return Supervisor(
        reader(settings),
        RayLauncher(Actors(), create),
        life=uuid4().hex,
        budget=settings.actor_budget,
        delivery_timeout_s=settings.delivery_timeout_s,
    )


def service(settings: Settings, actors: Actors, pipeline: Pipeline) -> Service:
    """What the gateway hands commands to."""
    connections = links(settings, actors)
    ledger, places = RemoteLedger(actors, connections), followed_places(connections)
    places.start()
    return Service(
        ledger=ledger,
        keys=ledger,
        reader=reader(settings),
        loops=LoopDirectory(actors, places),
        url_check=_resolver(settings),
        clock=SystemClock(),
        random_bytes=os.urandom,
        master_key=settings.master_key,
        problems=pipeline.problems,
    )
