"""I5: a bad handler hurts itself alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.main_job import latency
from tests.service import Account, Sink

pytestmark = pytest.mark.ray

RATE = 150.0
SECONDS = 2.0
ROUNDS = 5
#: What a busy machine of two cores adds to the p99 of more than half of the rounds, in milliseconds.
NOISE_MS = 15.0


@pytest.fixture
def sinks() -> Iterator[tuple[Sink, Sink]]:
    """Two handlers."""
    started = (Sink().start(), Sink().start())
    try:
        yield started
    finally:
        for sink in started:
            sink.stop()


def test_four_hanging_handlers_leave_the_fifth_alone(
    account: Account, sinks: tuple[Sink, Sink], tmp_path: Path
) -> None:
    """While four of five handlers never answer, the fifth's p99 is at most twice what it is without them."""
    good, bad = sinks
    account.loop(good)
    hanging = [account.loop(bad)["id"] for _ in range(4)]
    bad.tell("hang")

    def each(action: str) -> None:
        for loop_id in hanging:
            assert account.call("POST", f"/v1/feedback-loops/{loop_id}/{action}").status_code == 200

    clicks = int(RATE * SECONDS)
    alone, beside = [], []
    latency(account, good, RATE, 1.0, 0, tmp_path)
    for number in range(1, 2 * ROUNDS + 1, 2):
        each("pause")
        alone.append(latency(account, good, RATE, SECONDS, number * clicks, tmp_path)["p99_ms"])
        each("resume")
        beside.append(latency(account, good, RATE, SECONDS, (number + 1) * clicks, tmp_path)["p99_ms"])
    for loop_id in hanging:
        account.call("DELETE", f"/v1/feedback-loops/{loop_id}")

    print(f"p99 alone {alone} ms, beside four that hang {beside} ms")
    assert statistics.median(beside) <= 2 * statistics.median(alone) + NOISE_MS
