"""Isolation of loops (I5): a bad handler only hurts itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.isolation import MAX_P99_RATIO, in_turns
from tests.service import Account, Sink

pytestmark = [pytest.mark.ray, pytest.mark.alone]

ROUNDS = 5
#: Delay that a busy machine may add to the fastest round. A loop that waited for a hanging handler would wait for
#: seconds in every round; `benchmarks/isolation.py` measures smaller effects.
NOISE_MS = 100.0


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
    """While four of five handlers never answer, events of the fifth arrive as fast as without them."""
    good, bad = sinks
    account.loop(good)
    hanging = [account.loop(bad)["id"] for _ in range(4)]
    bad.command("hang")

    alone, beside = in_turns(account, good, hanging, rate=150.0, seconds=2.0, rounds=ROUNDS, folder=tmp_path)
    for loop_id in hanging:
        account.call("DELETE", f"/v1/feedback-loops/{loop_id}")

    quiet_ms, beside_ms = (min(took["p99_ms"] for took in rounds) for rounds in (alone, beside))
    assert beside_ms <= MAX_P99_RATIO * quiet_ms + NOISE_MS
