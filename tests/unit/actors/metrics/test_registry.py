"""Metrics registry of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.metrics import catalogue as m
from actors.metrics.registry import Registry
from tests.unit.actors.metrics.snapshots import numbers


def test_the_same_series_is_the_same_counter() -> None:
    """All callers share the counter of a series; a function that fails is left out of the snapshot."""
    registry = Registry()
    registry.counter(m.ATTEMPTS, "tls").value += 1
    registry.counter(m.ATTEMPTS, "tls").value += 1
    registry.set_function(m.JOURNAL_DEPTH, lambda: 7)
    registry.set_function(m.LEDGER_SIZE, lambda: Path("/no/such/file").stat().st_size)

    assert numbers(registry.snapshot()) == {("attempts", "tls"): 2, ("journal_depth",): 7}


def test_a_label_that_the_catalogue_does_not_have_is_refused() -> None:
    """Only series of the catalogue can exist, so their number is bounded."""
    registry = Registry()
    for labels in [("fl_0190",), (), ("tls", "tls")]:
        with pytest.raises(ValueError, match=r"label value|zip"):
            registry.counter(m.ATTEMPTS, *labels)
    with pytest.raises(TypeError):
        registry.counter(m.COMMIT)
    with pytest.raises(TypeError):
        registry.histogram(m.HITS, "open")


def test_a_value_at_a_bound_is_in_its_bucket() -> None:
    """Buckets include their upper bound (Prometheus' `le`); the last one has none."""
    histogram = Registry().histogram(m.FORWARD_BATCH)
    for value in (1, 1.5, 2, 256, 257):
        histogram.observe(value)

    assert histogram.counts == [1, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert histogram.total == 517.5
