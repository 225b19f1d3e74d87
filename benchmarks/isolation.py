"""Benchmark of isolation: a loop's latency with and without other loops whose handlers hang, in turns.

    python -m benchmarks.isolation [--hanging 4] [--rate 150] [--seconds 10] [--rounds 5] [--out benchmarks/results]

The result is the round with the median p99. The hanging handlers accept a connection and never answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks.main_job import latency
from tests.service import Account, Service, Sink

#: The guarantee: hanging handlers increase another loop's p99 at most by this factor.
MAX_P99_RATIO = 2.0


def in_turns(
    account: Account, good: Sink, hanging: Sequence[str], *, rate: float, seconds: float, rounds: int, folder: Path
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Returns latencies of the loop at `good`: with the `hanging` loops paused and with them active, in turns."""
    clicks = int(rate * seconds)
    alone, beside = [], []
    latency(account, good, rate, 1.0, 0, folder)
    for number in range(1, 2 * rounds + 1, 2):
        _each(account, hanging, "pause")
        alone.append(latency(account, good, rate, seconds, number * clicks, folder))
        _each(account, hanging, "resume")
        beside.append(latency(account, good, rate, seconds, (number + 1) * clicks, folder))
    return alone, beside


def _each(account: Account, loop_ids: Sequence[str], action: str) -> None:
    for loop_id in loop_ids:
        answer = account.call("POST", f"/v1/feedback-loops/{loop_id}/{action}")
        if answer.status_code != 200:
            raise RuntimeError(f"{action}: {answer.text}")


def _median(rounds: list[dict[str, float]]) -> dict[str, Any]:
    middle = sorted(rounds, key=lambda took: took["p99_ms"])[len(rounds) // 2]
    return {**middle, "p99_of_rounds_ms": [took["p99_ms"] for took in rounds]}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    good, bad = Sink().start(), Sink().start()
    service = Service(folder / "data")
    try:
        service.start()
        account = service.account()
        account.loop(good)
        hanging = [account.loop(bad)["id"] for _ in range(arguments.hanging)]
        bad.command("hang")
        rounds = in_turns(
            account,
            good,
            hanging,
            rate=arguments.rate,
            seconds=arguments.seconds,
            rounds=arguments.rounds,
            folder=folder,
        )
    finally:
        good.stop()
        bad.stop()
        service.end()
    alone, beside = map(_median, rounds)
    return {
        "hanging": arguments.hanging,
        "alone": alone,
        "beside": beside,
        "p99_ratio": round(beside["p99_ms"] / alone["p99_ms"], 2),
    }


def main() -> None:
    defaults = {"hanging": 4, "rate": 150.0, "seconds": 10.0, "rounds": 5}
    row.run("isolation", __doc__, measure, defaults, lambda result: result["p99_ratio"] <= MAX_P99_RATIO)


if __name__ == "__main__":
    main()
