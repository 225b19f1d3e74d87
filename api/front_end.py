"""Composition of the front end: its parts, with and without the journal."""

from __future__ import annotations

import functools
import shutil
import time
from pathlib import Path

from starlette.types import ASGIApp

from actors.gateway.client import GatewayClient
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.metrics import catalogue as m
from actors.metrics.instruments import HitInstruments
from actors.metrics.registry import Registry
from actors.settings import Settings
from actors.settings.data_dir_marker import read_marker
from actors.settings.data_dir_watch import DataDirWatch
from actors.tracing.spans import Traces
from api.app import create_app
from api.app_ports import Watch
from api.erasures.files import ErasureFiles
from api.erasures.watch import ErasureWatch
from api.http.connection_budget import ConnectionBudget
from api.journal.forwarder import Forwarder
from api.journal.held_hits import HeldHits, HeldHitsImport
from api.journal.journal import Journal
from api.journal.spill import Spill
from api.journal.spill_import import SpillImport
from api.key_watch import KeyWatch
from api.tracking.app import HitJournal, TrackingApp
from domain.tokens import TrackingTokens, tracking_keys


class WallClock:
    """The time of day."""

    def now_ms(self) -> int:
        """Unix time, milliseconds."""
        return time.time_ns() // 1_000_000


class Parts:
    """Parts of the front end that do not need the journal."""

    def __init__(self, settings: Settings, traces: Traces | None = None) -> None:
        self._settings = settings
        self._traces = traces
        self._keys = InstallationKeys(MasterKeySource.of(settings))
        self._tokens = TrackingTokens.of_installation(self._keys())
        self._keys.follow(lambda changed: self._tokens.use(tracking_keys(changed)))
        self._watch = settings.watch()
        self._client = GatewayClient(settings.gateway_socket)
        self._key_file = KeyFile(settings.data_dir, self._watch)
        self._key_watch = KeyWatch(self._client, self._keys, self._key_file)
        self._key_watch.reload()
        self._registry = Registry()
        self._instruments = HitInstruments(self._registry)

    @property
    def instance(self) -> str | None:
        """Name of this run of the service."""
        return self._settings.instance

    @functools.cached_property
    def spill(self) -> Spill | None:
        """Where hits go that a stop cannot write to the journal."""
        folder, marker = self._settings.spill_dir, read_marker(self._settings.data_dir)
        return None if folder is None else Spill(folder, (marker and marker.installation) or "unknown")

    def open_journal(self) -> Journal:
        """Opens the journal.

        Raises:
            StoreUnavailable: it cannot be opened.
            DataDirLost: the data directory is not the right one.
        """
        settings = self._settings
        return Journal.open(
            settings.data_dir / "journal",
            settings.journal_max_bytes,
            watch=self._watch,
            reserve_bytes=settings.journal_reserve_bytes,
            spill=self.spill,
        )

    def tracking(self, journal: HitJournal) -> TrackingApp:
        """The application of tracking URLs."""
        return TrackingApp(
            self._tokens,
            journal,
            self._settings.trusted_proxies,
            WallClock(),
            self._settings.keep_ip,
            self._instruments,
            self._traces,
            self._key_watch,
        )

    def app(self, journal: Journal, held: HeldHits, budget: ConnectionBudget) -> ASGIApp:
        """The front end. It adds the hits that were held, and those that were spilled, to the journal."""
        _register_journal_metrics(journal, self._settings.data_dir, self._watch, self._registry)
        self._registry.set_function(m.WRONG_INSTALLATION, lambda: self._key_watch.is_wrong_installation)
        self._registry.set_function(m.CONNECTIONS_CLOSED, lambda: budget.closed)
        erasure_files = ErasureFiles(self._settings.data_dir, self._settings.erasures_file, self._watch, self.spill)
        watches: list[Watch] = [
            HeldHitsImport(held, journal),
            *([] if self.spill is None else [SpillImport(self.spill, journal)]),
            self._key_watch,
            ErasureWatch(self._client, journal, self._key_file, erasure_files),
        ]
        return create_app(
            self._settings,
            self._client,
            self._tokens,
            self.tracking(journal),
            journal,
            Forwarder(journal, self._client, instruments=self._instruments),
            self._registry,
            self._watch,
            installation_keys=self._keys,
            watches=watches,
            instance=self.instance,
        )


def _register_journal_metrics(journal: Journal, data_dir: Path, watch: DataDirWatch, registry: Registry) -> None:
    """Registers metrics that read the state of the journal and of its disk at each scrape."""
    registry.set_function(m.JOURNAL_DEPTH, lambda: journal.depth)
    registry.set_function(m.JOURNAL_AGE, lambda: journal.oldest_age_s)
    registry.set_function(m.JOURNAL_TROUBLE, lambda: journal.problem is not None)
    registry.set_function(m.RESERVE_LEFT, lambda: journal.reserve.left_bytes)
    registry.set_function(m.RESERVE_USED, lambda: journal.reserve.is_used)
    registry.set_function(m.HITS_LOST, lambda: journal.lost)
    registry.set_function(m.DATA_DIR_LOST, lambda: watch.check() is not None)
    registry.set_function(m.DISK_FREE, lambda: shutil.disk_usage(data_dir).free)
    registry.set_function(m.DISK_SIZE, lambda: shutil.disk_usage(data_dir).total)
