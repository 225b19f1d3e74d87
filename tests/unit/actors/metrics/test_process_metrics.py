"""Metrics of the process itself."""

from __future__ import annotations

import msgspec

from actors.metrics import catalogue as m
from actors.metrics.process_metrics import process_snapshot
from actors.metrics.registry import Registry
from actors.metrics.snapshots import ProcessSnapshot
from tests.unit.actors.metrics.snapshots import numbers


def test_a_process_measures_itself() -> None:
    """The snapshot has start, CPU time, memory and open files, and survives encoding."""
    here = process_snapshot(m.LEDGER, Registry())
    found = numbers(here.snapshot)

    assert found["process_memory_bytes", "ledger"] > 5_000_000
    assert found["process_cpu_seconds", "ledger"] > 0
    assert found["process_open_files", "ledger"] >= 3
    assert found["process_start_time_seconds", "ledger"] == here.started_ms / 1000
    assert msgspec.json.decode(msgspec.json.encode(here), type=ProcessSnapshot) == here
