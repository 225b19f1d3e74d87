"""The only wiring: builds each core from settings and the real adapters, in the process where the core will live."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import ray

from actors.adapters.clock import SystemClock
from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.passwords import Argon2Passwords
from actors.adapters.proof_fetcher import PinnedProofFetcher
from actors.adapters.resolver import HandlerResolver
from actors.application.service import Service
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.loop_runtime import LoopRuntime
from actors.delivery.prefetch_buffer import SharedBytes
from actors.delivery.services import DeliveryPolicy, DeliveryServices
from actors.delivery.telemetry import AttemptTelemetry
from actors.enrichment.enricher import Enricher
from actors.gateway.pipeline import Pipeline
from actors.ipc.pool import Door, Links, link_token
from actors.ipc.server import Answer
from actors.ledger import factory
from actors.ledger.port import LedgerReader
from actors.ledger.retention.task import Retention
from actors.ledger.writer import StoreWriter
from actors.loops.loop_host import LoopHost
from actors.loops.supervisor import Supervisor
from actors.metrics import catalogue as m
from actors.metrics.backlog_sampler import BacklogSampler
from actors.metrics.collector import Collector
from actors.metrics.instruments import CommitInstruments, DeliveryInstruments, EnrichmentInstruments
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from actors.process_setup.gc_tuning import tame
from actors.process_setup.logging_setup import configure
from actors.ray_runtime import cluster_state
from actors.ray_runtime.calls import Actors
from actors.ray_runtime.host_launcher import RayLauncher
from actors.ray_runtime.loop_client import LoopDirectory
from actors.ray_runtime.remote_ports import RemoteLanes, RemoteLedger, followed_places
from actors.settings import Settings
from actors.tracing.setup import start_tracing
from actors.tracing.spans import Traces
from domain.handler_policy import HandlerPolicy
from domain.key_derivation import derive

#: What this process counts: all cores that are built in it count together.
REGISTRY: Final = Registry()


def begin(plain: dict[str, Any], process: str) -> None:
    """What the process of an actor does first: its log is written as the settings say."""
    settings = _settings(plain)
    configure(settings.log_level, process, settings.log_format)
    tame()


@functools.cache
def traces(process: str) -> Traces | None:
    """What takes the spans of this process; None when none are wanted."""
    return start_tracing(os.environ, process)


def metrics_snapshot(process: str) -> ProcessSnapshot:
    """What this process has to tell of itself. `process` is a kind of the catalogue's."""
    return process_snapshot(process, REGISTRY, ray.get_runtime_context().get_node_id())


def _settings(plain: dict[str, Any]) -> Settings:
    return Settings.from_dict(plain)


def ledger(plain: dict[str, Any]) -> StoreWriter:
    """The writer, for the ledger's actor."""
    settings = _settings(plain)
    made = factory.make_writer(settings)
    made.count_by(CommitInstruments(REGISTRY))
    if settings.store is None:
        path = settings.data_dir / factory.LEDGER_FILE
        REGISTRY.set_function(m.LEDGER_SIZE, lambda: _size_bytes(path))
    return made


def _size_bytes(path: Path) -> int:
    """Of a database and its write-ahead log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def backlog_sampler(plain: dict[str, Any]) -> BacklogSampler:
    """What waits, for operators; beside the supervisor, which has nothing else to do."""
    return BacklogSampler(reader(_settings(plain)), SystemClock(), REGISTRY)


def retention(plain: dict[str, Any], core: StoreWriter) -> Retention:
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
    return factory.make_reader(settings)


def links(settings: Settings, actors: Actors) -> Links:
    """A process's links to the actors."""
    return Links(actors, link_token(settings.master_key))


def door(plain: dict[str, Any], answer: Answer) -> Door:
    """The server of frames of an actor. On a cluster it listens where the other nodes reach this one."""
    settings = _settings(plain)
    host = "127.0.0.1" if settings.ray_address is None else str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return Door(answer, link_token(settings.master_key), host)


def resolver(settings: Settings) -> HandlerResolver:
    """From a handler's host to the addresses that it may be at."""
    return HandlerResolver(HandlerPolicy(settings.allowed_handler_networks))


def enricher(plain: dict[str, Any]) -> Enricher:
    """The core of an enrichment actor."""
    settings, actors = _settings(plain), Actors()
    connections = links(settings, actors)
    places = followed_places(connections)
    places.start()
    return Enricher(
        RemoteLedger(actors, connections),
        reader(settings),
        RemoteLanes(connections, places),
        EnrichmentInstruments(REGISTRY),
        traces(m.ENRICHER),
    )


@functools.cache
def _delivery_instruments() -> DeliveryInstruments:
    """One set for all loops of the process."""
    return DeliveryInstruments(REGISTRY)


def loop_host(plain: dict[str, Any], kind: str) -> LoopHost:
    """The core of an actor that holds loops, one or many. `kind`: of process, as metrics and traces have it."""
    settings, clock = _settings(plain), SystemClock()
    handlers, actors = resolver(settings), Actors()
    ledger, store = RemoteLedger(actors, links(settings, actors)), reader(settings)
    http_client = PinnedHttpClient(handlers)
    proof_fetcher = PinnedProofFetcher(http_client, settings.nameserver)
    services = DeliveryServices(
        ledger=ledger,
        reader=store,
        http_client=http_client,
        clock=clock,
        rng=random.SystemRandom(),
        policy=DeliveryPolicy(settings.retry_schedule, settings.delivery_timeout_s, settings.disable_after_s),
        shared_bytes=SharedBytes(),
        cpu_throttle=CpuThrottle(time.monotonic, time.process_time),
    )
    instruments, spans = _delivery_instruments(), traces(kind)

    def make_runtime(loop_id: str) -> LoopRuntime:
        return LoopRuntime(
            loop_id,
            services,
            AttemptTelemetry(loop_id, instruments, spans),
            proof_fetcher=proof_fetcher,
            url_check=handlers,
            master_key=settings.master_key,
        )

    node = ray.get_runtime_context().get_node_id()
    return LoopHost(
        life=uuid4().hex, node=node, make_core=make_runtime, reader=store, http_client=http_client, clock=clock
    )


def supervisor(plain: dict[str, Any], create: Callable[[str, str], Any]) -> Supervisor:
    """The core of the supervisor's actor. `create` makes the actor of a name on a node, or finds it."""
    settings = _settings(plain)
    return Supervisor(
        reader(settings),
        RayLauncher(Actors(), create),
        life=uuid4().hex,
        budget=settings.actor_budget,
        delivery_timeout_s=settings.delivery_timeout_s,
        starts_failed=REGISTRY.counter(m.STARTS_FAILED),
    )


def service(settings: Settings, actors: Actors, pipeline: Pipeline) -> Service:
    """What the gateway hands commands to."""
    connections = links(settings, actors)
    ledger, places = RemoteLedger(actors, connections), followed_places(connections)
    places.start()
    names = functools.partial(asyncio.to_thread, cluster_state.actor_names)
    nodes = functools.partial(asyncio.to_thread, cluster_state.nodes)
    collector = Collector(Actors(), names, nodes, places.counts)
    return Service(
        ledger=ledger,
        keys=ledger,
        reader=reader(settings),
        loops=LoopDirectory(actors, places),
        url_check=resolver(settings),
        clock=SystemClock(),
        random_bytes=os.urandom,
        passwords=Argon2Passwords(derive(settings.master_key, "passwords")),
        master_key=settings.master_key,
        problems=pipeline.problems,
        metrics=collector.snapshot,
        cluster_inventory=collector.cluster_inventory,
    )
