"""Telemetry of delivery attempts: metrics, spans and log lines."""

from __future__ import annotations

import logging
from typing import Final

from actors.metrics.instruments import DeliveryInstruments
from actors.tracing.spans import Span, Traces
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.values import DeliveryState, id_text

log = logging.getLogger(__name__)

#: Milliseconds between two log lines about dead deliveries of a loop.
DEAD_EVERY_MS: Final = 1000
_DEAD: Final = int(DeliveryState.DEAD)


class AttemptTelemetry:
    """Reports one loop's attempts. A failing handler is its owner's concern, so it is logged at `info` at most."""

    def __init__(
        self, loop_id: str, instruments: DeliveryInstruments | None = None, traces: Traces | None = None
    ) -> None:
        """`instruments` are shared by all loops of a process; `traces` is None when tracing is off."""
        self._loop_id = loop_id
        self._instruments = instruments or DeliveryInstruments()
        self._traces = traces
        self._dead_logged_ms = self._dead_unlogged = 0
        self._logs_all = log.isEnabledFor(logging.DEBUG)

    def started(self) -> None:
        """Counts an attempt that is in flight from now on."""
        self._instruments.under_way.value += 1

    def finished(self) -> None:
        """Counts an attempt that is no longer in flight, whatever its outcome."""
        self._instruments.under_way.value -= 1

    def completed(self, delivery: OfferedDelivery, outcome: AttemptOutcome, duration_s: float, now_ms: int) -> None:
        """Reports the outcome of an attempt."""
        self._instruments.attempted(delivery, outcome, duration_s, now_ms)
        if self._traces is not None and self._traces.wants(delivery.event_id):
            self._traces.add(self._span(delivery, outcome, duration_s))
        if outcome.state == _DEAD:
            self._log_dead(delivery, outcome, now_ms)
        elif self._logs_all:
            log.debug("an attempt ended", extra=self._facts("attempt", delivery) | _result(outcome))

    def _log_dead(self, delivery: OfferedDelivery, outcome: AttemptOutcome, now_ms: int) -> None:
        """Logs at most one line per second: a replay to a failing handler ends thousands of deliveries at once."""
        self._dead_unlogged += 1
        if abs(now_ms - self._dead_logged_ms) < DEAD_EVERY_MS:
            return
        facts = self._facts("delivery_dead", delivery) | _result(outcome) | {"dead_since_last": self._dead_unlogged}
        log.info("a delivery is dead", extra=facts)
        self._dead_logged_ms, self._dead_unlogged = now_ms, 0

    def not_sent(self, delivery: OfferedDelivery, error: Exception) -> None:
        """Reports an attempt that failed because of a bug in this program."""
        log.error("a delivery could not be sent", exc_info=error, extra=self._facts("delivery_failed", delivery))

    def breaker_changed(self, *, is_open: bool) -> None:
        """Reports that the handler went down, or answers again."""
        action = "breaker_opened" if is_open else "breaker_closed"
        log.info("a loop's circuit breaker changed", extra={"action": action, "loop_id": self._loop_id})

    def _facts(self, action: str, delivery: OfferedDelivery) -> dict[str, object]:
        return {
            "action": action,
            "loop_id": self._loop_id,
            "event_id": id_text("evt", delivery.event_id),
            "delivery_id": delivery.delivery_id,
        }

    def _span(self, delivery: OfferedDelivery, outcome: AttemptOutcome, duration_s: float) -> Span:
        began_ns = outcome.at_ms * 1_000_000
        ended_ns = began_ns + round(duration_s * 1e9)
        attributes: dict[str, str | int] = {
            "feedback_loops.loop_id": self._loop_id,
            "feedback_loops.attempt": outcome.attempt_no,
        }
        if outcome.status is not None:
            attributes["http.response.status_code"] = outcome.status
        if outcome.error is not None:
            attributes["error.type"] = outcome.error
        return Span(delivery.event_id, "attempt", began_ns, ended_ns, attributes, outcome.error)


def _result(outcome: AttemptOutcome) -> dict[str, object]:
    return {
        "attempt": outcome.attempt_no,
        "status": outcome.status,
        "error": outcome.error,
        "duration_ms": outcome.duration_ms,
    }
