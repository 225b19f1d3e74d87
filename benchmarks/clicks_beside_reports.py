"""Benchmark of clicks beside reports: a click's latency with and without reports and returned mails, in turns.

    python -m benchmarks.clicks_beside_reports [--rate 300] [--seconds 10] [--rounds 5] [--out benchmarks/results]

Each round measures clicks alone, and clicks while 200 reports/s (one in each request) and 20 mails/s of 5 kB arrive, in
alternating order. Latency is the time from when a click was due to the arrival of its POST. Reports and mails go to
another handler. The result is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import row
from benchmarks.main_job import latency, latency_of, run_load
from benchmarks.pairs import turns
from benchmarks.reports import EVENTS_OF_MAIL, TRIGGERS, mail_requests, register, report_requests
from tests.service import Account, Service, Sink, eventually

REPORTS_PER_S: Final = 200
MAILS_PER_S: Final = 20
#: The guarantee: reports and mails increase a click's p95 at most by this factor.
MAX_P95_RATIO: Final = 1.5
#: Seconds that reports and mails arrive before the load generator of the clicks starts, and after the last click.
LEAD_S: Final = 1.0
TAIL_S: Final = 2.0
ALONE: Final = "alone"
BESIDE: Final = "beside"


class OtherLoad:
    """Reports and mails at a fixed rate, each about a message of its own."""

    def __init__(self, account: Account, sink: Sink, folder: Path) -> None:
        self._account = account
        self._sink = sink
        self._folder = folder
        self._first = 0

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Sends them for so many seconds, from before the block to after it, and waits for their POSTs."""
        reports = self._numbers(int(REPORTS_PER_S * (seconds + LEAD_S + TAIL_S)))
        mails = self._numbers(int(MAILS_PER_S * (seconds + LEAD_S + TAIL_S)))
        self._sink.command("reset")
        with ExitStack() as stack:
            for name, requests, rate in (
                ("reports", report_requests(self._account, reports, 1), REPORTS_PER_S),
                ("mails", mail_requests(self._account, mails), MAILS_PER_S),
            ):
                stack.enter_context(self._sending(name, requests, rate))
            reached = LEAD_S * REPORTS_PER_S
            eventually(lambda: self._sink.stats()["posts"] >= reached, 60, "reports and mails arrive")
            yield
        posts = len(reports) + len(mails) * EVENTS_OF_MAIL
        eventually(lambda: self._sink.stats()["posts"] >= posts, 60, "every report and mail was POSTed")

    def _numbers(self, count: int) -> range:
        self._first += count
        return range(self._first - count, self._first)

    @contextmanager
    def _sending(self, name: str, requests: list[bytes], rate: float) -> Iterator[None]:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        done: list[dict[str, Any]] = []

        def run() -> None:
            done.append(run_load(self._account.service.port, requests, folder, 202, rate=rate, connections=8))

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()
        if not done:
            raise RuntimeError(f"{name} were refused")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    sink, other_sink, service = Sink().start(), Sink().start(), Service(folder / "data")
    clicks = int(arguments.rate * arguments.seconds)
    took: dict[str, list[dict[str, float]]] = {ALONE: [], BESIDE: []}
    try:
        service.start()
        account = service.account()
        account.loop(sink)
        account.loop(other_sink, triggers=TRIGGERS)
        seconds_beside = arguments.rounds * (arguments.seconds + LEAD_S + TAIL_S) + 10
        register(account, 0, int((REPORTS_PER_S + MAILS_PER_S) * seconds_beside))
        other = OtherLoad(account, other_sink, folder)
        with other.running(3.0):
            latency(account, sink, arguments.rate, 2.0, 0, folder)
        for number, side in enumerate(turns((ALONE, BESIDE), arguments.rounds), start=1):
            with ExitStack() as stack:
                paths = account.click_paths(clicks, first=number * clicks)
                if side == BESIDE:
                    stack.enter_context(other.running(arguments.seconds))
                took[side].append(latency_of(service.port, sink, paths, arguments.rate, number * clicks, folder))
            print(f"{side}: {took[side][-1]}", flush=True)
    finally:
        sink.stop()
        other_sink.stop()
        service.end()
    return {"reports_per_s": REPORTS_PER_S, "mails_per_s": MAILS_PER_S, **took, **_ratios(took)}


def _ratios(took: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    pairs = list(zip(took[ALONE], took[BESIDE], strict=True))
    return {
        f"{name}_ratio": round(statistics.median(beside[name] / alone[name] for alone, beside in pairs), 2)
        for name in ("p50_ms", "p95_ms", "answer_p95_ms")
    }


def main() -> None:
    defaults = {"rate": 300.0, "seconds": 10.0, "rounds": 5}
    row.run("clicks_beside_reports", __doc__, measure, defaults, lambda result: result["p95_ms_ratio"] <= MAX_P95_RATIO)


if __name__ == "__main__":
    main()
