"""Instruments of the service's parts."""

from __future__ import annotations

from actors.metrics.instruments import DeliveryInstruments
from actors.metrics.registry import Registry
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.values import DeliveryState
from tests.unit.actors.metrics.snapshots import numbers

HIT_MS = 1_770_000_000_000


def outcome(state: DeliveryState, error: str | None) -> AttemptOutcome:
    return AttemptOutcome(1, 1, HIT_MS, 5, None, error, "", None, int(state), 0)


def test_attempts_are_counted_by_result() -> None:
    """Each attempt counts in `attempts`, each final state in `deliveries`; latency starts at the hit."""
    registry = Registry()
    instruments = DeliveryInstruments(registry)
    delivery = OfferedDelivery(1, HIT_MS.to_bytes(6, "big") + bytes(10), "open", b"{}", 0, HIT_MS)
    instruments.attempted(delivery, outcome(DeliveryState.PENDING, "timeout"), 15.0, HIT_MS)
    instruments.attempted(delivery._replace(attempts=1), outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 5000)
    instruments.attempted(delivery, outcome(DeliveryState.DELIVERED, None), 0.004, HIT_MS + 8)
    instruments.attempted(delivery, outcome(DeliveryState.DEAD, "a new word"), 0.1, HIT_MS)
    found = {key: value for key, value in numbers(registry.snapshot()).items() if value}
    latency = {
        labels: data for name, labels, data in registry.snapshot().histograms if name == "event_delivered_seconds"
    }

    assert found == {
        ("attempts", "delivered"): 2,
        ("attempts", "timeout"): 1,
        ("attempts", "internal"): 1,
        ("deliveries", "delivered"): 2,
        ("deliveries", "dead"): 1,
    }
    assert latency["first",].total == 0.008
    assert latency["later",].total == 5.0
