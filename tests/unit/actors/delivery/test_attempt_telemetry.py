"""`actors.delivery.attempt_telemetry`: log lines about attempts."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from actors.delivery.attempt_telemetry import AttemptTelemetry
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.values import DeliveryState

NOW_MS = 1_700_000_000_123
EVENT = NOW_MS.to_bytes(6, "big") + bytes(range(10))
DELIVERY = OfferedDelivery(7, EVENT, "open", b'{"recipient": "john@example.com"}', 2, NOW_MS)


def outcome(state: DeliveryState) -> AttemptOutcome:
    return AttemptOutcome(7, 3, NOW_MS, 12, 503, "status", "secret words", "192.0.2.1", int(state), 0)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The extra fields of each log line."""
    plain = vars(logging.makeLogRecord({}))
    return [{k: v for k, v in vars(r).items() if k not in plain and k != "message"} for r in caplog.records]


def test_dead_deliveries_are_logged_with_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    """The line has the ids of loop, event and delivery and the handler's status, but no content of event or response.

    Only one line per second is logged, with the number of dead deliveries.
    """
    caplog.set_level(logging.INFO)
    telemetry = AttemptTelemetry("fl_1")
    for at_ms in (NOW_MS, NOW_MS + 1, NOW_MS + 999, NOW_MS + 1000):
        telemetry.completed(DELIVERY, outcome(DeliveryState.DEAD), 0.012, at_ms)
    telemetry.completed(DELIVERY, outcome(DeliveryState.PENDING), 0.012, NOW_MS + 5000)
    first, second = lines(caplog)

    assert first == {
        "action": "delivery_dead",
        "loop_id": "fl_1",
        "event_id": f"evt_{EVENT.hex()}",
        "delivery_id": 7,
        "attempt": 3,
        "status": 503,
        "error": "status",
        "duration_ms": 12,
        "dead_since_last": 1,
    }
    assert second["dead_since_last"] == 3


def test_every_attempt_is_logged_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Level debug logs every attempt; breaker changes are always logged, and bugs with their traceback."""
    caplog.set_level(logging.DEBUG)
    telemetry = AttemptTelemetry("fl_1")
    telemetry.completed(DELIVERY, outcome(DeliveryState.PENDING), 0.012, NOW_MS)
    telemetry.breaker_changed(is_open=True)
    telemetry.not_sent(DELIVERY, ValueError("a line break"))

    assert [line["action"] for line in lines(caplog)] == ["attempt", "breaker_opened", "delivery_failed"]
    assert [line["loop_id"] for line in lines(caplog)] == ["fl_1"] * 3
    assert cast(Any, caplog.records[-1].exc_info)[0] is ValueError
