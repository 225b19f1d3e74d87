"""Retries: clicks whose first POST is declined, delivered by the second, against the plain rate of the same run.

    python -m benchmarks.retries [--clicks 20000] [--rounds 3] [--out benchmarks/results]

The handler answers 404 to the first POST of each event, so no breaker opens, and takes the second, which is due half a
second later. A rate is clicks divided by the time from the first request to the last POST; each takes two attempts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.main_job import machine, rate_of
from tests.service import Service, Sink

SCHEDULE_S = 0.5


def measure(clicks: int, rounds: int, folder: Path) -> dict[str, Any]:
    sink = Sink().start()
    service = Service(folder / "data", FEEDBACK_LOOPS_RETRY_SCHEDULE=",".join([str(SCHEDULE_S)] * 4))
    plain: list[float] = []
    retried: list[float] = []
    try:
        service.start()
        account = service.account()
        account.loop(sink)
        rate_of(sink, service.port, account.click_paths(2_000), folder)
        for number in range(rounds):
            for rates, behaviour in ((plain, "accept"), (retried, "decline")):
                first = 2_000 + (2 * number + (rates is retried)) * clicks
                sink.tell(behaviour)
                rates.append(rate_of(sink, service.port, account.click_paths(clicks, first=first), folder))
    finally:
        sink.stop()
        service.end()
    plain_per_s, retried_per_s = statistics.median(plain), statistics.median(retried)
    return {
        "machine": machine(),
        "command": f"python -m benchmarks.retries --clicks {clicks} --rounds {rounds}",
        "plain_per_s": round(plain_per_s),
        "plain_rounds_per_s": [round(rate) for rate in plain],
        "delivered_by_retry_per_s": round(retried_per_s),
        "delivered_by_retry_rounds_per_s": [round(rate) for rate in retried],
        "attempts_per_s": round(2 * retried_per_s),
        "ratio": round(retried_per_s / plain_per_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feedback-loops-bench-") as folder:
        result = measure(arguments.clicks, arguments.rounds, Path(folder))
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        (arguments.out / "retries.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
