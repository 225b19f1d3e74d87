"""Process of the front end: answers HTTP on the socket of the `serve` process.

    python -m api.main --settings FILE --fd N

It needs neither Ray nor the gateway to start and to answer hits (I2).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from actors.gateway.client import GatewayClient
from actors.metrics import catalogue as m
from actors.metrics.instruments import HitInstruments
from actors.metrics.registry import Registry
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.settings.settings import Settings
from actors.tracing.setup import start_tracing
from actors.tracing.spans import Traces
from api.app import create_app
from api.http.connection_limits import LimitedHttpProtocol
from api.journal.forwarder import Forwarder
from api.journal.journal import Journal
from api.tracking.app import TrackingApp
from domain.errors import FeedbackLoopsError
from domain.key_derivation import derive
from domain.tokens import TrackingTokens

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
#: Longer than the 60 s of common proxies: they close first and never send a request on a closing connection.
KEEP_ALIVE_S: Final = 75
#: Seconds to finish requests in progress at shutdown; then streams are cut.
GRACE_S: Final = 1
#: Seconds to send the last spans; the `serve` process does not wait longer.
LAST_SPANS_S: Final = 0.5


class WallClock:
    """The time of day."""

    def now_ms(self) -> int:
        """Unix time, milliseconds."""
        return time.time_ns() // 1_000_000


def tracking_tokens(master_key: bytes) -> TrackingTokens:
    """The tokens of this installation. Never change the purpose: links in sent e-mails depend on it."""
    return TrackingTokens(derive(master_key, "tracking-tokens"))


def build(settings: Settings, traces: Traces | None = None) -> ASGIApp:
    """Creates the front end with its dependencies.

    Raises:
        StoreUnavailable: the journal cannot be opened.
    """
    tokens = tracking_tokens(settings.master_key)
    journal = Journal.open(settings.data_dir / "journal", settings.journal_max_bytes)
    client = GatewayClient(str(settings.gateway_socket))
    registry = Registry()
    instruments = HitInstruments(registry)
    _register_journal_metrics(journal, settings.data_dir, registry)
    tracking = TrackingApp(tokens, journal, settings.trusted_proxies, WallClock(), instruments, traces)
    forwarder = Forwarder(journal, client, instruments=instruments)
    return create_app(settings, client, tokens, tracking, journal, forwarder, registry)


def _register_journal_metrics(journal: Journal, data_dir: Path, registry: Registry) -> None:
    """Registers metrics that read the state of the journal and of its disk at each scrape."""
    registry.set_function(m.JOURNAL_DEPTH, lambda: journal.depth)
    registry.set_function(m.JOURNAL_AGE, lambda: journal.oldest_age_s)
    registry.set_function(m.JOURNAL_TROUBLE, lambda: journal.problem is not None)
    registry.set_function(m.HITS_LOST, lambda: journal.lost)
    registry.set_function(m.DISK_FREE, lambda: shutil.disk_usage(data_dir).free)
    registry.set_function(m.DISK_SIZE, lambda: shutil.disk_usage(data_dir).total)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """The configuration of uvicorn."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=LimitedHttpProtocol,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application decides itself which proxies to trust
        log_config=None,
    )


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serves until SIGTERM, then stops accepting connections and finishes the requests in progress."""
    uvicorn.Server(server_config(app)).run(sockets=[listening])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    settings = Settings.from_dict(json.loads(arguments.settings.read_text()))
    configure_logging(settings.log_level, m.FRONT_END, settings.log_format)
    try:
        traces = start_tracing(os.environ, m.FRONT_END)
        app = build(settings, traces)
    except FeedbackLoopsError as exc:
        log.critical("cannot start", extra={"action": "front_end_failed", "problem": str(exc)})
        sys.exit(1)
    tune_gc()
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, log.getEffectiveLevel()))
    serve(app, socket.socket(fileno=arguments.fd))
    if traces is not None:
        traces.stop(LAST_SPANS_S)


if __name__ == "__main__":
    main()
