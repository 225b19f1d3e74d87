"""Benchmark of the ledger on PostgreSQL and on SQLite: clicks answered, stored and POSTed per second, and latency.

    python -m benchmarks.postgres [--clicks 30000] [--rounds 3] [--rate 300] [--seconds 15] [--out benchmarks/results]

Two services, one on each store, handle the same load on the same machine with the same handler. They take turns, round
by round, so that changes in the machine's speed affect both; the other one is stopped meanwhile. PostgreSQL runs on the
same machine.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks import row
from benchmarks.main_job import latency, rate_of
from tests.postgres import running_server
from tests.service import Account, Service, Sink

#: The fraction of SQLite's rate that PostgreSQL must reach.
WANTED_RATIO: Final = 0.8
WARM_UP: Final = 2_000
#: Settings for a server with a spare GiB. Everything else is PostgreSQL's default, including durable commits.
SERVER: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


class Contender:
    """A service on one store, with an account and a loop."""

    def __init__(self, name: str, folder: Path, sink: Sink, **environment: str) -> None:
        self.name = name
        self.service = Service(folder / name, **environment)
        self.rates: list[float] = []
        self._sink = sink
        self._sent = 0
        self._account: Account | None = None

    @property
    def account(self) -> Account:
        """The account, created on first use."""
        if self._account is None:
            self._account = self.service.account()
            self._account.loop(self._sink)
        return self._account

    def run(self, clicks: int, folder: Path) -> None:
        """Runs one round: starts the service, warms it up, measures and stops it."""
        self.service.start()
        self._rate(WARM_UP, folder)
        self.rates.append(self._rate(clicks, folder))
        print(f"{self.name}: {self.rates[-1]:,.0f} clicks/s", flush=True)

    def _rate(self, clicks: int, folder: Path) -> float:
        paths = self.account.click_paths(clicks, first=self._sent)
        self._sent += clicks
        return rate_of(self._sink, self.service.port, paths, folder)

    def latency(self, rate: float, seconds: float, folder: Path) -> dict[str, float]:
        """Returns the time from click to handler in milliseconds, for the service as its last round left it."""
        first, self._sent = self._sent, self._sent + int(rate * seconds)
        return latency(self.account, self._sink, rate, seconds, first, folder)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    with ExitStack() as stack:
        server = stack.enter_context(running_server(**SERVER))
        sink = Sink().start()
        stack.callback(sink.stop)
        on_sqlite = Contender("sqlite", folder, sink)
        on_postgres = Contender("postgres", folder, sink, FEEDBACK_LOOPS_STORE=server.new_database())
        took: dict[str, dict[str, float]] = {}
        for contender in (on_sqlite, on_postgres):
            stack.callback(contender.service.end)
        for _ in range(arguments.rounds):
            for contender in (on_sqlite, on_postgres):
                contender.run(arguments.clicks, folder)
                if len(contender.rates) == arguments.rounds:
                    took[contender.name] = contender.latency(arguments.rate, arguments.seconds, folder)
                contender.service.terminate()
    return {
        "sqlite_per_s": [round(rate) for rate in on_sqlite.rates],
        "postgres_per_s": [round(rate) for rate in on_postgres.rates],
        "ratio": round(statistics.median(on_postgres.rates) / statistics.median(on_sqlite.rates), 3),
        "latency": took,
    }


def main() -> None:
    defaults = {"clicks": 30_000, "rounds": 3, "rate": 300.0, "seconds": 15.0}
    row.run("postgres", __doc__, measure, defaults, lambda result: result["ratio"] >= WANTED_RATIO)


if __name__ == "__main__":
    main()
