"""The background task of retention."""

from __future__ import annotations

import asyncio

import pytest

from actors.ledger.retention.task import DAY_MS, KeptDays, Retention
from actors.ports import RetentionLimits
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import NOW_MS, FakeClock


class CountingLedger:
    """A `RetentionLedger` with a number of expired rows, which records the calls."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: list[tuple[RetentionLimits, int]] = []
        self.failures = 0
        self.is_empty = asyncio.Event()

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        self.asked.append((limits, limit))
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("locked")
        dropped = min(self.rows, limit)
        self.rows -= dropped
        if not self.rows:
            self.is_empty.set()
        return dropped


def retention(ledger: CountingLedger, days: float = 30) -> Retention:
    return Retention(ledger, FakeClock(), KeptDays(days, 7, 0, messages=90, mails=5, profile_history=1))


def test_old_rows_are_deleted_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are bounded and repeat until nothing is left; ages count from now, and 0 days keeps rows for ever."""
    monkeypatch.setattr("actors.ledger.retention.task.PAUSE_S", 0.0)
    ledger = CountingLedger(1_234)

    dropped = asyncio.run(retention(ledger).drop_all())

    assert dropped == 1_234
    assert ledger.rows == 0
    assert {limit for _, limit in ledger.asked} == {500}
    assert ledger.asked[0][0] == RetentionLimits(
        *(NOW_MS - 30 * DAY_MS, NOW_MS - 7 * DAY_MS, None),
        *(NOW_MS - 90 * DAY_MS, NOW_MS - 5 * DAY_MS, NOW_MS - DAY_MS),
    )


def test_an_unavailable_store_does_not_end_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, the next round continues."""
    monkeypatch.setattr("actors.ledger.retention.task.ROUND_S", 0.0)
    monkeypatch.setattr("actors.ledger.retention.task.PAUSE_S", 0.0)

    async def scenario() -> int:
        ledger = CountingLedger(10)
        ledger.failures = 2
        watch = retention(ledger)
        watch.start()
        async with asyncio.timeout(5):
            await ledger.is_empty.wait()
        await watch.stop()
        return len(ledger.asked)

    assert asyncio.run(scenario()) >= 3
