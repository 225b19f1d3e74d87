"""Outcome policy of a lane: what a handler's response means for the delivery, the breaker and the loop."""

from __future__ import annotations

import random
from typing import NamedTuple

from actors.delivery.dependencies import DeliveryPolicy
from actors.delivery.response_text import body_excerpt, error_code, failure_text, header_lines
from actors.ports import HttpResponse
from domain.breaker import Breaker, is_down
from domain.delivery import EVENT_TOO_LARGE, AttemptOutcome, OfferedDelivery
from domain.retry import decide, retry_after_s
from domain.values import DeliveryState


class AttemptResult(NamedTuple):
    """Consequences of an attempt."""

    outcome: AttemptOutcome
    #: The delivery for the next attempt, or None.
    retry: OfferedDelivery | None
    #: Why the loop has to be disabled, or None.
    disable_reason: str | None


class OutcomePolicy:
    """Judges responses by the retry schedule, and reports them to the breaker."""

    def __init__(self, policy: DeliveryPolicy, breaker: Breaker, rng: random.Random) -> None:
        self._schedule = policy.retry_schedule
        self._breaker = breaker
        self._rng = rng

    def judge(
        self,
        delivery: OfferedDelivery,
        at_ms: int,
        now_ms: int,
        response: HttpResponse,
        probe: int,
    ) -> AttemptResult:
        """The result of an attempt from `at_ms` to `now_ms`. `probe`: what `Breaker.begin` returned, or 0."""
        number, forgiven = delivery.attempts + 1, delivery.forgiven
        is_success = response.status is not None and 200 <= response.status < 300
        # Random numbers come from the operating system and cost more than all the rest: only failures need one.
        jitter = 0.0 if is_success else self._rng.random()
        decision = decide(
            response.status, response.error, response.retry_after, number - forgiven, now_ms, self._schedule, jitter
        )
        outcome = AttemptOutcome(
            delivery.delivery_id,
            number,
            at_ms,
            round(response.duration_s * 1000),
            response.status,
            error_code(response),
            body_excerpt(response),
            response.address,
            int(decision.state),
            decision.due_at_ms,
            response.response_bytes,
            forgiven,
            header_lines(response.head_start),
        )
        if decision.state is DeliveryState.DELIVERED:
            self._breaker.succeed(now_ms)
            return AttemptResult(outcome, None, None)
        self._count_failure(response, now_ms, probe)
        reason = "the handler answered 410 Gone, which asks for no more events" if decision.disable else None
        if decision.state is DeliveryState.DEAD:
            return AttemptResult(outcome, None, reason)
        retry = delivery._replace(attempts=number, due_at_ms=decision.due_at_ms, forgiven=forgiven)
        return AttemptResult(outcome, retry, reason)

    def _count_failure(self, response: HttpResponse, now_ms: int, probe: int) -> None:
        """Reports a failure to the breaker."""
        wait_s = None if response.retry_after is None else retry_after_s(response.retry_after, now_ms)
        self._breaker.fail(
            now_ms,
            probe=probe,
            is_down=response.error != EVENT_TOO_LARGE and is_down(response.status),
            error=failure_text(response),
            retry_after_s=wait_s or 0.0,
            jitter=self._rng.random(),
        )
