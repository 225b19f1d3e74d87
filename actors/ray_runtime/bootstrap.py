"""Wiring of each actor's core: from settings and real adapters, in the process that the core runs in."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import ray

from actors.adapters.clock import SystemClock
from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.passwords import Argon2Passwords
from actors.adapters.proof_fetcher import PinnedProofFetcher
from actors.adapters.resolver import HandlerResolver
from actors.application.context import Context
from actors.application.service import ApplicationService
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.dependencies import CommandServices, DeliveryPolicy, DeliveryServices
from actors.delivery.loop_runtime import LoopRuntime
from actors.delivery.prefetch_buffer import SharedBytes
from actors.enrichment.enricher import Enricher
from actors.ipc.pool import ConnectionPool
from actors.ipc.server import Handler, Listener, connection_token
from actors.ledger import factory
from actors.ledger.reader import LedgerReader
from actors.ledger.retention.task import Retention
from actors.ledger.writer import StoreWriter
from actors.loops.location_registry import LocationRegistry
from actors.loops.loop_host import LoopHost
from actors.loops.supervisor import Supervisor
from actors.metrics import catalogue as m
from actors.metrics.backlog_sampler import BacklogSampler
from actors.metrics.collector import Collector
from actors.metrics.instruments import CommitInstruments, DeliveryInstruments, EnrichmentInstruments
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.ray_runtime import cluster_state
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.host_launcher import RayHostLauncher
from actors.ray_runtime.loop_client import RemoteLoopClient
from actors.ray_runtime.remote_ports import RemoteLedger, RemoteLoopNotifier, follow_locations
from actors.settings.settings import Settings
from actors.tracing.setup import start_tracing
from actors.tracing.spans import Traces
from domain.handler_policy import HandlerPolicy
from domain.key_derivation import derive


class ProcessContext:
    """The parts that all cores of one process share, and the cores built from them.

    Args:
        settings: of the service.
        process: kind of process, as metrics and traces call it (`actors.metrics.catalogue`).
    """

    def __init__(self, settings: Settings, process: str) -> None:
        self.settings = settings
        self.process = process
        self.clock = SystemClock()
        self.registry = Registry()
        self.actors = ActorClient()
        self.pool = ConnectionPool(self.actors.address, connection_token(settings.master_key))

    @classmethod
    def start(cls, plain: dict[str, Any], process: str) -> Self:
        """The context of an actor's process, with logging and garbage collection set up. `plain`: its settings."""
        settings = Settings.from_dict(plain)
        configure_logging(settings.log_level, process, settings.log_format)
        tune_gc()
        return cls(settings, process)

    @cached_property
    def traces(self) -> Traces | None:
        """Collects the spans of this process; None when none are wanted."""
        return start_tracing(os.environ, self.process)

    @cached_property
    def reader(self) -> LedgerReader:
        """Reader of the store, which the ledger's actor creates."""
        return factory.make_reader(self.settings)

    @cached_property
    def remote_ledger(self) -> RemoteLedger:
        """Writer of the ledger, through its actor."""
        return RemoteLedger(self.actors, self.pool)

    @cached_property
    def locations(self) -> LocationRegistry:
        """Locations of the loops, kept up to date from the first use on."""
        locations = follow_locations(self.pool)
        locations.start()
        return locations

    @cached_property
    def resolver(self) -> HandlerResolver:
        """Resolves the hosts of handlers to permitted addresses."""
        return HandlerResolver(HandlerPolicy(self.settings.allowed_handler_networks))

    def listener(self, handler: Handler) -> Listener:
        """The frame server of an actor, on the address where the other nodes of a cluster reach this one."""
        is_cluster = self.settings.ray_address is not None
        host = str(ray.util.get_node_ip_address()) if is_cluster else "127.0.0.1"  # type: ignore[no-untyped-call]
        return Listener(handler, connection_token(self.settings.master_key), host)

    def metrics_snapshot(self) -> ProcessSnapshot:
        """The metrics of this process."""
        return process_snapshot(self.process, self.registry, _node_id())

    # --- cores

    def ledger(self) -> StoreWriter:
        """The writer, for the ledger's actor."""
        writer = factory.make_writer(self.settings)
        writer.count_commits(CommitInstruments(self.registry))
        if self.settings.store is None:
            path = self.settings.data_dir / factory.LEDGER_FILE
            self.registry.set_function(m.LEDGER_SIZE, lambda: _size_bytes(path))
        return writer

    def retention(self, ledger: StoreWriter) -> Retention:
        """The task next to the writer that deletes old rows."""
        return Retention(
            ledger,
            self.clock,
            deliveries_days=self.settings.keep_deliveries_days,
            attempts_days=self.settings.keep_attempts_days,
            events_days=self.settings.keep_events_days,
        )

    def enricher(self) -> Enricher:
        return Enricher(
            self.remote_ledger,
            self.reader,
            RemoteLoopNotifier(self.pool, self.locations),
            EnrichmentInstruments(self.registry),
            self.traces,
        )

    def supervisor(self, create: Callable[[str, str], Any]) -> Supervisor:
        """`create` makes the actor with a name on a node, unless it exists."""
        return Supervisor(
            self.reader,
            RayHostLauncher(self.actors, create),
            incarnation=uuid4().hex,
            budget=self.settings.actor_budget,
            delivery_timeout_s=self.settings.delivery_timeout_s,
            starts_failed=self.registry.counter(m.STARTS_FAILED),
        )

    def backlog_sampler(self) -> BacklogSampler:
        """Samples the backlog for operators. It runs in the supervisor, which has little else to do."""
        return BacklogSampler(self.reader, self.clock, self.registry)

    def loop_host(self) -> LoopHost:
        """The core of an actor for one loop or many."""
        settings, resolver, instruments = self.settings, self.resolver, DeliveryInstruments(self.registry)
        http_client = PinnedHttpClient(resolver)
        proof_fetcher = PinnedProofFetcher(http_client, settings.nameserver)
        command_services = CommandServices(proof_fetcher, resolver, settings.master_key)
        services = DeliveryServices(
            ledger=self.remote_ledger,
            reader=self.reader,
            http_client=http_client,
            clock=self.clock,
            rng=random.SystemRandom(),
            policy=DeliveryPolicy(settings.retry_schedule, settings.delivery_timeout_s, settings.disable_after_s),
            shared_bytes=SharedBytes(),
            cpu_throttle=CpuThrottle(time.monotonic, time.process_time),
        )

        def make_runtime(loop_id: str) -> LoopRuntime:
            telemetry = AttemptTelemetry(loop_id, instruments, self.traces)
            return LoopRuntime(loop_id, services, telemetry, command_services)

        return LoopHost(
            incarnation=uuid4().hex,
            node=_node_id(),
            make_runtime=make_runtime,
            reader=self.reader,
            http_client=http_client,
            clock=self.clock,
        )

    def application(self, problems: Callable[[], Awaitable[list[str]]]) -> ApplicationService:
        """The handlers of commands, for the gateway. `problems`: why the service is not ready."""
        names = partial(asyncio.to_thread, cluster_state.actor_names)
        nodes = partial(asyncio.to_thread, cluster_state.nodes)
        context = Context(
            ledger=self.remote_ledger,
            reader=self.reader,
            clock=self.clock,
            random_bytes=os.urandom,
            master_key=self.settings.master_key,
        )
        return ApplicationService(
            context,
            loops=RemoteLoopClient(self.actors, self.locations),
            url_check=self.resolver,
            passwords=Argon2Passwords(derive(self.settings.master_key, "passwords")),
            problems=problems,
            metrics=Collector(self.actors, names, nodes, self.locations.counts),
        )


def _node_id() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _size_bytes(path: Path) -> int:
    """Size of a database and its write-ahead log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
