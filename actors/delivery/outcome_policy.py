"""Outcome policy of a lane: what a handler's response means for the delivery, the breaker and the loop."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from actors.delivery.dependencies import DeliveryPolicy
from actors.delivery.response_text import body_excerpt, error_code, header_lines
from actors.ports import HttpResponse
from domain.breaker import Breaker, is_down
from domain.delivery import EVENT_TOO_LARGE, AttemptOutcome, OfferedDelivery
from domain.retry import Decision, decide, retry_after_s
from domain.values import DeliveryState

#: A connection that breaks sooner than this is tried again at once: the handler may just have been restarted.
BREAKS_AT_ONCE_S: Final = 1.0
_BREAKS: Final = frozenset({"connect", "disconnect"})


class AttemptResult(NamedTuple):
    """Consequences of an attempt."""

    outcome: AttemptOutcome
    #: The delivery for the next attempt, or None.
    retry: OfferedDelivery | None
    #: Why the loop has to be disabled, or None.
    disable_reason: str | None


class OutcomePolicy:
    """Judges responses by the retry schedule, and reports them to the breaker.

    Each step of the schedule is one attempt, plus an immediate second one if the connection broke at once. The schedule
    does not count the second one (`AttemptOutcome.forgiven`).
    """

    def __init__(self, policy: DeliveryPolicy, breaker: Breaker, rng: random.Random) -> None:
        self._schedule = policy.retry_schedule
        self._disable_after_s = policy.disable_after_s
        self._breaker = breaker
        self._rng = rng
        #: Deliveries that have had the second attempt of their step, or have it next.
        self._second_attempts: set[int] = set()
        if self._has_failed_too_long():  # the loop was resumed, so restart its time
            breaker.forgive()

    def forget(self) -> None:
        """Forgets the second attempts, because the deliveries were left to the outbox."""
        self._second_attempts.clear()

    def judge(
        self,
        delivery: OfferedDelivery,
        at_ms: int,
        now_ms: int,
        response: HttpResponse,
        probe: int,
        *,
        is_paused: bool,
    ) -> AttemptResult:
        """The result of an attempt from `at_ms` to `now_ms`. `probe`: what `Breaker.begin` returned, or 0."""
        number, forgiven = delivery.attempts + 1, delivery.forgiven
        is_success = response.status is not None and 200 <= response.status < 300
        # Random numbers come from the operating system and cost more than all the rest: only failures need one.
        jitter = 0.0 if is_success else self._rng.random()
        decision = decide(
            response.status, response.error, response.retry_after, number - forgiven, now_ms, self._schedule, jitter
        )
        may_repeat = response.status is None and not (is_paused or self._breaker.is_open)
        if may_repeat and self._takes_second_attempt(delivery.delivery_id, response):
            decision = Decision(DeliveryState.PENDING, now_ms, disable=False)
            forgiven += 1
        elif self._second_attempts:
            self._second_attempts.discard(delivery.delivery_id)
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
        reason = self._count_failure(response, now_ms, probe, disable=decision.disable)
        if decision.state is DeliveryState.DEAD:
            return AttemptResult(outcome, None, reason)
        retry = delivery._replace(attempts=number, due_at_ms=decision.due_at_ms, forgiven=forgiven)
        return AttemptResult(outcome, retry, reason)

    def _takes_second_attempt(self, delivery_id: int, response: HttpResponse) -> bool:
        """Whether the connection broke at once for the first time in this step. Remembers that it did."""
        if (
            response.error not in _BREAKS
            or response.duration_s >= BREAKS_AT_ONCE_S
            or delivery_id in self._second_attempts
        ):
            return False
        self._second_attempts.add(delivery_id)
        return True

    def _count_failure(self, response: HttpResponse, now_ms: int, probe: int, *, disable: bool) -> str | None:
        """Reports a failure to the breaker, and returns the reason to disable the loop, or None."""
        wait_s = None if response.retry_after is None else retry_after_s(response.retry_after, now_ms)
        self._breaker.fail(
            now_ms,
            probe=probe,
            is_down=response.error != EVENT_TOO_LARGE and is_down(response.status),
            retry_after_s=wait_s or 0.0,
            jitter=self._rng.random(),
        )
        if disable:
            return "the handler answered 410 Gone, which asks for no more events"
        if self._has_failed_too_long():
            return f"every delivery has failed for {_duration(self._disable_after_s)}"
        return None

    def _has_failed_too_long(self) -> bool:
        return self._breaker.failing_for_ms >= self._disable_after_s * 1000


def _duration(seconds: float) -> str:
    """A duration in words, in the largest unit that it fills at least once."""
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} seconds"
