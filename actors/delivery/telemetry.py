"""What operators are told of a loop's attempts: metrics, spans, and lines of the log."""

from __future__ import annotations

import logging
from typing import Final

from actors.metrics.instruments import DeliveryInstruments
from actors.tracing.spans import Span, Traces
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.values import DeliveryState, id_text

log = logging.getLogger(__name__)

#: Milliseconds between two lines about dead deliveries of a loop.
DEAD_EVERY_MS: Final = 1000
_DEAD: Final = int(DeliveryState.DEAD)


class AttemptTelemetry:
    """Takes note of one loop's attempts. That a handler fails is its owner's affair: no line of it is above `info`."""

    def __init__(
        self, loop_id: str, instruments: DeliveryInstruments | None = None, traces: Traces | None = None
    ) -> None:
        """`instruments` are shared by all loops of a process."""
        self._loop_id = loop_id
        self._instruments = instruments or DeliveryInstruments()
        self._traces = traces
        self._dead_told_ms = self._dead_untold = 0
        self._tells_all = log.isEnabledFor(logging.DEBUG)

    def began(self) -> None:
        """An attempt is under way."""
        self._instruments.under_way.value += 1

    def landed(self) -> None:
        """It is no more, whatever came of it."""
        self._instruments.under_way.value -= 1

    def ended(self, delivery: OfferedDelivery, outcome: AttemptOutcome, duration_s: float, now_ms: int) -> None:
        """An attempt came to an outcome."""
        self._instruments.attempted(delivery, outcome, duration_s, now_ms)
        if self._traces is not None and self._traces.wants(delivery.event_id):
            self._traces.add(self._span(delivery, outcome, duration_s))
        if outcome.state == _DEAD:
            self._note_dead(delivery, outcome, now_ms)
        elif self._tells_all:
            log.debug("an attempt ended", extra=self._facts("attempt", delivery) | _result(outcome))

    def _note_dead(self, delivery: OfferedDelivery, outcome: AttemptOutcome, now_ms: int) -> None:
        """One line a second at most: thousands die together when a replay meets a handler that is still bad."""
        self._dead_untold += 1
        if abs(now_ms - self._dead_told_ms) < DEAD_EVERY_MS:
            return
        facts = self._facts("delivery_dead", delivery) | _result(outcome) | {"dead_since_last": self._dead_untold}
        log.info("a delivery is dead", extra=facts)
        self._dead_told_ms, self._dead_untold = now_ms, 0

    def not_sent(self, delivery: OfferedDelivery, error: Exception) -> None:
        """A mistake of our own is why there was no attempt."""
        log.error("a delivery could not be sent", exc_info=error, extra=self._facts("delivery_failed", delivery))

    def breaker_changed(self, *, is_open: bool) -> None:
        """The handler was found to be down, or to answer again."""
        action = "breaker_opened" if is_open else "breaker_closed"
        log.info("a loop's breaker has changed", extra={"action": action, "loop_id": self._loop_id})

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
        about: dict[str, str | int] = {
            "feedback_loops.loop_id": self._loop_id,
            "feedback_loops.attempt": outcome.attempt_no,
        }
        if outcome.status is not None:
            about["http.response.status_code"] = outcome.status
        if outcome.error is not None:
            about["error.type"] = outcome.error
        return Span(delivery.event_id, "attempt", began_ns, ended_ns, about, outcome.error)


def _result(outcome: AttemptOutcome) -> dict[str, object]:
    return {
        "attempt": outcome.attempt_no,
        "status": outcome.status,
        "error": outcome.error,
        "duration_ms": outcome.duration_ms,
    }
