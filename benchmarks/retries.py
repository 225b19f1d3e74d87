"""Benchmark of retries: the rate of clicks that the second POST delivers, compared with the plain rate of the same run.

    python -m benchmarks.retries [--clicks 20000] [--rounds 3] [--out benchmarks/results]

The handler answers 404 to the first POST of each event, so that no breaker opens, and accepts the second one, which is
due half a second later. A rate is the number of clicks divided by the time from the first request to the last POST.
Each click takes two attempts.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks.main_job import rate_of
from tests.service import Service, Sink

SCHEDULE_S = 0.5


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    clicks = options.clicks
    sink = Sink().start()
    service = Service(folder / "data", FEEDBACK_LOOPS_RETRY_SCHEDULE=",".join([str(SCHEDULE_S)] * 4))
    plain: list[float] = []
    retried: list[float] = []
    try:
        service.start()
        account = service.account()
        account.loop(sink)
        rate_of(sink, service.port, account.click_paths(2_000), folder)
        for number in range(options.rounds):
            for rates, behaviour in ((plain, "accept"), (retried, "decline")):
                first = 2_000 + (2 * number + (rates is retried)) * clicks
                sink.command(behaviour)
                rates.append(rate_of(sink, service.port, account.click_paths(clicks, first=first), folder))
    finally:
        sink.stop()
        service.end()
    plain_per_s, retried_per_s = statistics.median(plain), statistics.median(retried)
    return {
        "plain_per_s": round(plain_per_s),
        "plain_rounds_per_s": [round(rate) for rate in plain],
        "delivered_by_retry_per_s": round(retried_per_s),
        "delivered_by_retry_rounds_per_s": [round(rate) for rate in retried],
        "attempts_per_s": round(2 * retried_per_s),
        "ratio": round(retried_per_s / plain_per_s, 2),
    }


def main() -> None:
    row.run("retries", __doc__, measure, {"clicks": 20_000, "rounds": 3})


if __name__ == "__main__":
    main()
