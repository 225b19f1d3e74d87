"""The gate of the start: no delivery before people are erased again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.gateway.erasure_gate import LINES_AT_ONCE, ErasureGate
from actors.installation.erasure_file import ErasureLine, add_erasures
from domain.errors import Unavailable


class Ledger:
    """A ledger that lacks the erasures, and has redacted what the test says."""

    def __init__(self, unredacted: int = 0) -> None:
        self.unredacted = unredacted
        self.calls: list[list[str]] = []

    async def repeat_erasures(self, erasures: Sequence[ErasureLine]) -> int:
        self.calls.append([erasure.id for erasure in erasures])
        return len(erasures)

    def count_unredacted(self) -> int:
        return self.unredacted


def line(n: int) -> ErasureLine:
    return ErasureLine.until(n, id=f"ers_{n}", account=None, digest="ab" * 32)


def test_the_erasures_of_both_files_are_repeated_first(tmp_path: Path) -> None:
    """In groups that take the ledger little time, and once for each start."""
    add_erasures(tmp_path / "here", [line(n) for n in range(LINES_AT_ONCE)])
    add_erasures(tmp_path / "there", [line(LINES_AT_ONCE)])
    ledger = Ledger()
    gate = ErasureGate([tmp_path / "here", tmp_path / "there"], ledger, ledger)
    asyncio.run(gate.pass_through())
    asyncio.run(gate.pass_through())
    assert [len(call) for call in ledger.calls] == [LINES_AT_ONCE, 1]


def test_the_start_waits_for_the_redaction(tmp_path: Path) -> None:
    """With the reason that `/readyz` shows; it goes on once nothing of the person can be delivered."""
    ledger = Ledger(unredacted=2)
    gate = ErasureGate([tmp_path / "none"], ledger, ledger)
    with pytest.raises(Unavailable, match="2 erasures of people are repeated"):
        asyncio.run(gate.pass_through())
    ledger.unredacted = 0
    asyncio.run(gate.pass_through())
    assert ledger.calls == []


def test_the_start_does_not_wait_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An erasure that cannot go on must not stop the deliveries of everyone else."""
    ledger = Ledger(unredacted=1)
    asyncio.run(ErasureGate([tmp_path / "none"], ledger, ledger, patience_s=0).pass_through())
    assert [vars(record)["action"] for record in caplog.records] == ["gate_given_up"]
