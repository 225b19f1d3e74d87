"""Process of the front end: answers HTTP on the socket of the `serve` process.

    python -m api.main --settings FILE --fd N < SECRETS

It needs neither Ray nor the gateway to start and to answer hits (I2).
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from actors.metrics import catalogue as m
from actors.process_setup.exit_codes import HITS_LOST
from actors.process_setup.gc_tuning import tune_gc
from actors.process_setup.logging_setup import configure_logging
from actors.process_setup.open_files import raise_limit
from actors.settings import Networks, Settings
from actors.tracing.setup import start_tracing
from actors.tracing.spans import Traces
from api.front_end import Parts
from api.http.client_address import ClientAddresses
from api.http.connection_budget import ConnectionBudget
from api.http.connection_limits import LimitedHttpProtocol
from api.journal.held_hits import HeldHits
from api.journal.journal import Journal
from api.without_journal import WithoutJournal
from domain.errors import FeedbackLoopsError, StoreUnavailable

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
#: Of trusted proxies. Longer than the 60 s of common ones: they close first and never send a request on a closing
#: connection.
KEEP_ALIVE_S: Final = 75
#: Seconds to finish requests in progress at shutdown; then streams are cut.
GRACE_S: Final = 1
#: Seconds to send the last spans; the `serve` process does not wait longer.
LAST_SPANS_S: Final = 0.5


def server_config(
    app: ASGIApp, trusted_proxies: Networks = (), connection_budget: ConnectionBudget | None = None
) -> uvicorn.Config:
    """The configuration of uvicorn."""

    class Protocol(LimitedHttpProtocol):
        addresses = ClientAddresses(trusted_proxies)
        budget = connection_budget or LimitedHttpProtocol.budget

    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
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


class Stop:
    """The signals to stop. uvicorn raises those that it got again when it has ended; they must not end the process."""

    def __init__(self) -> None:
        self.is_requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.is_requested = True


def run(settings: Settings, listening: socket.socket, traces: Traces | None) -> int:
    """Serves until SIGTERM, then stops accepting connections and finishes the requests in progress.

    Returns the exit code.
    """
    stop = Stop()
    budget = ConnectionBudget(raise_limit())
    parts = Parts(settings, traces)
    held = HeldHits()
    journal = _opened(parts, held, functools.partial(_serve, listening, settings.trusted_proxies, budget))
    if journal is None:
        return HITS_LOST if held.save(parts.spill) else 0
    app = parts.app(journal, held, budget)
    if not stop.is_requested:
        _serve(listening, settings.trusted_proxies, budget, app)
    # What arrived without an open journal and is not in it yet.
    lost = journal.lost_at_stop + (held.save(parts.spill) if len(held) else held.lost)
    return HITS_LOST if lost else 0


def _opened(parts: Parts, held: HeldHits, serve: Callable[[ASGIApp], None]) -> Journal | None:
    """The open journal. Until it can be opened, hits are answered and held. None: the service was stopped before."""
    try:
        return parts.open_journal()
    except StoreUnavailable as exc:
        facts = {"action": "journal_not_open", "problem": str(exc)}
        log.critical("the journal cannot be opened: hits are kept in memory, all else is refused", extra=facts)
    app = WithoutJournal(parts.tracking(held), parts.open_journal, parts.instance)
    serve(app)
    return app.journal


def _serve(listening: socket.socket, trusted_proxies: Networks, budget: ConnectionBudget, app: ASGIApp) -> None:
    server = uvicorn.Server(server_config(app, trusted_proxies, budget))
    if isinstance(app, WithoutJournal):
        app.on_open = lambda: setattr(server, "should_exit", True)
    server.run(sockets=[listening.dup()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    plain = json.loads(arguments.settings.read_text()) | json.loads(sys.stdin.read())
    settings = Settings.from_dict(plain)
    configure_logging(settings.log_level, m.FRONT_END, settings.log_format)
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, log.getEffectiveLevel()))
    traces = start_tracing(os.environ, m.FRONT_END)
    tune_gc()
    try:
        exit_code = run(settings, socket.socket(fileno=arguments.fd), traces)
    except FeedbackLoopsError as exc:
        log.critical("cannot start", extra={"action": "front_end_failed", "problem": str(exc)})
        sys.exit(1)
    if traces is not None:
        traces.stop(LAST_SPANS_S)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
