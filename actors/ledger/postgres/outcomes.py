"""Recording of delivery attempts and lane health on PostgreSQL. This is the hot path.

All outcomes that wait for one commit are written by one statement, with their rows as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from actors.ledger import rollups
from actors.ledger.postgres.binary_arrays import Numbers, OptionalNumbers, Texts
from domain.delivery import AttemptOutcome, LaneHealth

# A delivered row (1) stays delivered, whatever a later attempt reports; a dead one (2) can only become delivered. A
# replay or retry makes either pending again and raises its number of attempts, so that only later attempts count.
# Attempts of deliveries that retention has removed are not recorded. Those of erased deliveries (3) are recorded
# without texts, because handlers may repeat what they received.
# The ids are sorted, so `width_bucket` finds the position of a delivery in the lists. The planner could turn a join
# around and read all deliveries for each outcome.
_POSITION: Final = "[width_bucket(d.id, $1)]"
RECORD_OUTCOMES: Final = (
    f"{{often}}WITH moved AS (UPDATE deliveries AS d SET state = $9{_POSITION}, attempts = $2{_POSITION},"  # noqa: S608 - constants only
    f"  due_at_ms = $10{_POSITION}, forgiven = greatest(d.forgiven, $12{_POSITION})"
    f"  WHERE d.id {{in $1}} AND d.attempts < $2{_POSITION} AND (d.state = 0 OR d.state = 2 AND $9{_POSITION} = 1)),"
    " recorded AS (INSERT INTO attempts"
    "  (delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes, response_headers)"
    "  SELECT o.id, o.no, o.at_ms, o.duration_ms, o.status, o.error, CASE d.state WHEN 3 THEN '' ELSE o.excerpt END,"
    "  o.address, o.response_bytes, CASE d.state WHEN 3 THEN '' ELSE o.headers END"
    "  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $11, $13)"
    "  AS o (id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes, headers)"
    "  CROSS JOIN LATERAL (SELECT state FROM deliveries WHERE id = o.id OFFSET 0) AS d"
    "  ON CONFLICT DO NOTHING RETURNING delivery_id)"
    " SELECT d.loop_no, r.delivery_id FROM recorded AS r"
    " CROSS JOIN LATERAL (SELECT loop_no FROM deliveries WHERE id = r.delivery_id OFFSET 0) AS d"
)
SET_HEALTH: Final = (
    "{often}INSERT INTO loop_health"
    " (loop_no, breaker, failing_since_ms, last_success_ms, last_failure_ms, failures, next_probe_ms, failing_ms,"
    " last_error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (loop_no) DO UPDATE SET"
    " breaker = excluded.breaker,"
    " failing_since_ms = excluded.failing_since_ms, last_success_ms = excluded.last_success_ms,"
    " last_failure_ms = excluded.last_failure_ms, failures = excluded.failures, next_probe_ms = excluded.next_probe_ms,"
    " failing_ms = excluded.failing_ms, last_error = excluded.last_error"
)


@dataclass(frozen=True, slots=True)
class RecordOutcomes:
    """Work that records the outcomes of one caller, and the health of a loop (its number and the new value)."""

    outcomes: Sequence[AttemptOutcome]
    health: tuple[int, LaneHealth] | None

    def __call__(self, cursor: Any) -> None:
        record_outcomes(cursor, [self])


def record_outcomes(cursor: Any, works: Sequence[RecordOutcomes]) -> None:
    """Records new attempts, and updates each delivery unless the delivery has already progressed further."""
    for outcomes in _rounds([outcome for work in works for outcome in work.outcomes]):
        recorded = cursor.execute(RECORD_OUTCOMES, _outcome_columns(outcomes)).fetchall()
        by_id = {outcome.delivery_id: outcome for outcome in outcomes}
        rollups.count_attempts(cursor, ((loop_no, by_id[delivery_id]) for loop_no, delivery_id in recorded))
    for work in works:
        if work.health is not None:
            cursor.execute(SET_HEALTH, (work.health[0], *work.health[1]))


def _rounds(outcomes: Sequence[AttemptOutcome]) -> list[list[AttemptOutcome]]:
    """Splits outcomes so that no delivery occurs twice in a round: one statement changes a row only once.

    Outcomes of a delivery keep their order across rounds; each round is sorted by delivery.
    """
    rounds: list[list[AttemptOutcome]] = []
    seen: dict[int, int] = {}
    for outcome in outcomes:
        number = seen.get(outcome.delivery_id, 0)
        seen[outcome.delivery_id] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(outcome)
    return [sorted(outcomes, key=attrgetter("delivery_id")) for outcomes in rounds]


def _outcome_columns(outcomes: Sequence[AttemptOutcome]) -> tuple[object, ...]:
    return (
        Numbers([o.delivery_id for o in outcomes]),
        Numbers([o.attempt_no for o in outcomes]),
        Numbers([o.at_ms for o in outcomes]),
        Numbers([o.duration_ms for o in outcomes]),
        OptionalNumbers([o.status for o in outcomes]),
        Texts([o.error for o in outcomes]),
        Texts([o.excerpt for o in outcomes]),
        Texts([o.address for o in outcomes]),
        Numbers([o.state for o in outcomes]),
        Numbers([o.due_at_ms for o in outcomes]),
        Numbers([o.response_bytes for o in outcomes]),
        Numbers([o.forgiven for o in outcomes]),
        Texts([o.response_headers for o in outcomes]),
    )
