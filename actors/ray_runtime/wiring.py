"""Wiring of each actor's core: from settings and real adapters, in the process that the core runs in."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

import ray

from actors.adapters.clock import SystemClock
from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.http_connector import tls_context
from actors.adapters.passwords import Argon2Passwords
from actors.adapters.proof_fetcher import PinnedProofFetcher
from actors.adapters.resolver import HandlerResolver
from actors.application.context import Context
from actors.application.event_recorder import EventRecorder
from actors.application.installation_keys import InstallationKeyService
from actors.application.service import ApplicationService
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.dependencies import CommandServices, DeliveryPolicy, DeliveryServices
from actors.delivery.loop_runtime import LoopRuntime
from actors.delivery.prefetch_buffer import SharedBytes
from actors.enrichment.enricher import Enricher
from actors.enrichment.mails import MailReader
from actors.installation.keys import InstallationKeys
from actors.ipc.handshake import connection_key
from actors.ipc.pool import ConnectionPool
from actors.ipc.server import Handler, Listener
from actors.ledger import factory
from actors.ledger.reader import LedgerReader
from actors.ledger.retention.task import KeptDays, Retention
from actors.ledger.writer import StoreWriter
from actors.loops.location_registry import LocationRegistry
from actors.loops.loop_host import LoopHost
from actors.loops.supervisor import Supervisor
from actors.metrics import catalogue as m
from actors.metrics.backlog_sampler import BacklogSampler
from actors.metrics.collector import Collector
from actors.metrics.instruments import CommitInstruments, DeliveryInstruments, EnrichmentInstruments, ProfileInstruments
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.process_setup.open_files import raise_limit
from actors.ray_runtime import cluster_state
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.deployment import DEPLOYMENT, Deployment
from actors.ray_runtime.host_launcher import RayHostLauncher
from actors.ray_runtime.loop_client import RemoteLoopClient
from actors.ray_runtime.ray_token import ray_token
from actors.ray_runtime.remote_ports import RemoteLedger, RemoteLoopNotifier, follow_locations
from actors.ray_runtime.role_secrets import RoleSecrets, SecretsClient
from actors.returned_mail.parser import MailParser
from actors.settings import Settings
from actors.tracing.setup import start_tracing
from actors.tracing.spans import Traces
from domain.errors import FeedbackLoopsError
from domain.handler_policy import HandlerPolicy
from domain.key_set import NO_KEYS, KeySet
from domain.return_path import ReturnPathTokens
from domain.tokens import TrackingTokens


class ActorSecrets(NamedTuple):
    """The secrets of an actor's role, as of its start, and where it asks for more."""

    client: SecretsClient
    role: RoleSecrets


class ProcessContext:
    """The parts that all cores of one process share, and the cores built from them.

    Args:
        settings: of the service.
        process: kind of process, as metrics and traces call it (`actors.metrics.catalogue`).
        secrets: source of an actor's secrets.

    Raises:
        Conflict: Ray asks for no token.
    """

    def __init__(self, settings: Settings, process: str, secrets: ActorSecrets | None = None) -> None:
        self.settings = settings
        self.process = process
        self.clock = SystemClock()
        self.registry = Registry()
        self.actors = ActorClient()
        self._secrets = secrets
        #: Authenticates the links between this service's processes.
        self.link_key: Final = connection_key(ray_token())
        self.pool = ConnectionPool(self.actors.address, self.link_key)

    @classmethod
    def start(cls, plain: dict[str, str | None], process: str) -> Self:
        """The context of an actor's process, with logging and garbage collection set up. `plain`: its settings."""
        settings = Settings.from_dict(plain)
        configure_logging(settings.log_level, process, settings.log_format)
        raise_limit()
        tune_gc()
        deployment = Deployment.read(str(plain[DEPLOYMENT]))
        link_key = connection_key(ray_token())
        secrets = SecretsClient(deployment.installation, deployment.options["store"], process, link_key)
        role = secrets.fetch()
        return cls(replace(settings, store=role.store), process, ActorSecrets(secrets, role))

    @property
    def _actor_secrets(self) -> ActorSecrets:
        if self._secrets is None:
            raise RuntimeError("only actors have the secrets of a role")
        return self._secrets

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
    def loops(self) -> RemoteLoopClient:
        """Calls loops in the processes that hold them."""
        return RemoteLoopClient(self.actors, self.locations)

    @cached_property
    def resolver(self) -> HandlerResolver:
        """Resolves the hosts of handlers to permitted addresses."""
        return HandlerResolver(HandlerPolicy(self.settings.allowed_handler_networks))

    def listener(self, handler: Handler) -> Listener:
        """The frame server of an actor, on the address where the other nodes of a cluster reach this one."""
        is_cluster = self.settings.ray_address is not None
        host = str(ray.util.get_node_ip_address()) if is_cluster else "127.0.0.1"  # type: ignore[no-untyped-call]
        return Listener(handler, self.link_key, host)

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
        settings = self.settings
        days = KeptDays(
            deliveries=settings.keep_deliveries_days,
            attempts=settings.keep_attempts_days,
            events=settings.keep_events_days,
            messages=settings.keep_messages_days,
            mails=settings.keep_mails_days,
            profile_history=settings.keep_profile_history_days,
        )
        return Retention(ledger, self.clock, days, factory.make_retention_clearing(settings, self.clock))

    async def _token_keys(self) -> tuple[KeySet, KeySet]:
        role = await self._actor_secrets.client.role()
        return role.tracking or NO_KEYS, role.return_path or NO_KEYS

    def enricher(self) -> Enricher:
        role = self._actor_secrets.role
        tracking, return_path = role.tracking or NO_KEYS, role.return_path or NO_KEYS
        return Enricher(
            self.remote_ledger,
            self.reader,
            RemoteLoopNotifier(self.pool, self.locations),
            MailReader(MailParser(), TrackingTokens(tracking), ReturnPathTokens(return_path), self._token_keys),
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
        http_client = PinnedHttpClient(resolver, tls_context(settings.handler_ca_file_pem))
        proof_fetcher = PinnedProofFetcher(http_client, settings.nameserver)
        command_services = CommandServices(proof_fetcher, resolver, self._actor_secrets.client)
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

    def application(
        self,
        problems: Callable[[], Awaitable[list[FeedbackLoopsError]]],
        keys: InstallationKeys,
        installation_keys: InstallationKeyService,
    ) -> ApplicationService:
        """The handlers of commands, for the gateway. `problems`: why the service is not ready."""
        names = partial(asyncio.to_thread, cluster_state.actor_names)
        nodes = partial(asyncio.to_thread, cluster_state.nodes)
        context = Context(
            ledger=self.remote_ledger,
            reader=self.reader,
            clock=self.clock,
            random_bytes=os.urandom,
            keys=keys,
            installation=keys.known_ring.fingerprint,
        )
        return ApplicationService(
            context,
            EventRecorder(
                self.remote_ledger,
                self.reader,
                RemoteLoopNotifier(self.pool, self.locations),
                ProfileInstruments(self.registry),
            ),
            loops=self.loops,
            url_check=self.resolver,
            passwords=Argon2Passwords(keys),
            problems=problems,
            metrics=Collector(self.actors, names, nodes, self.locations.counts, registry=self.registry),
            installation_keys=installation_keys,
        )


def _node_id() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _size_bytes(path: Path) -> int:
    """Size of a database and its write-ahead log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
