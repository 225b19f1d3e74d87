"""What comes of a handler's answer: the outcome that is recorded, and when the delivery is tried again."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from actors.delivery.outcome_recorder import answer_excerpt, error_word, headers_text
from actors.ports import HttpResponse
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.retry import Decision, RetrySchedule, decide
from domain.values import DeliveryState

#: A connection that breaks sooner than this is tried once more at once: it may have met a handler's restart.
BREAKS_AT_ONCE_S: Final = 1.0
_BREAKS: Final = frozenset({"connect", "disconnect"})


class AttemptResult(NamedTuple):
    """What comes of an attempt."""

    outcome: AttemptOutcome
    #: The delivery as it is to be tried again, or None.
    again: OfferedDelivery | None
    #: Whether the handler asked never to be called again.
    disable: bool


class OutcomePolicy:
    """Judges answers by the retry schedule.

    A turn of the schedule is one attempt, and a second one at once if the connection broke at once. That one is not
    counted by the schedule (`AttemptOutcome.forgiven`).
    """

    def __init__(self, schedule: RetrySchedule, rng: random.Random) -> None:
        self._schedule = schedule
        self._rng = rng
        #: Deliveries that have had the second attempt of their turn, or will have it next.
        self._seconds: set[int] = set()

    def forget(self) -> None:
        """Deliveries are left to the outbox: every turn begins anew."""
        self._seconds.clear()

    def judge(
        self, delivery: OfferedDelivery, at_ms: int, now_ms: int, answer: HttpResponse, *, is_well: bool
    ) -> AttemptResult:
        """What comes of an attempt from `at_ms` to `now_ms`. `is_well`: the handler is not known to be down."""
        number, forgiven = delivery.attempts + 1, delivery.forgiven
        # Chance is the operating system's, and costs more than all the rest: only what failed needs it.
        is_taken = answer.status is not None and 200 <= answer.status < 300
        jitter = 0.0 if is_taken else self._rng.random()
        decision = decide(
            answer.status, answer.error, answer.retry_after, number - forgiven, now_ms, self._schedule, jitter
        )
        if answer.status is None and is_well and self._may_have_second(delivery.delivery_id, answer):
            decision = Decision(DeliveryState.PENDING, now_ms, disable=False)
            forgiven += 1
        elif self._seconds:
            self._seconds.discard(delivery.delivery_id)
        outcome = AttemptOutcome(
            delivery.delivery_id,
            number,
            at_ms,
            round(answer.duration_s * 1000),
            answer.status,
            error_word(answer),
            answer_excerpt(answer),
            answer.address,
            int(decision.state),
            decision.due_at_ms,
            answer.response_bytes,
            forgiven,
            headers_text(answer.head_start),
        )
        if decision.state is not DeliveryState.PENDING:
            return AttemptResult(outcome, None, decision.disable)
        again = delivery._replace(attempts=number, due_at_ms=decision.due_at_ms, forgiven=forgiven)
        return AttemptResult(outcome, again, decision.disable)

    def _may_have_second(self, delivery_id: int, answer: HttpResponse) -> bool:
        """Whether the connection broke at once, and for the first time in this turn; takes note of it."""
        if answer.error not in _BREAKS or answer.duration_s >= BREAKS_AT_ONCE_S or delivery_id in self._seconds:
            return False
        self._seconds.add(delivery_id)
        return True
