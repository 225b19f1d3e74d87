"""Writes tracking events with the deliveries they are owed, and what came of the deliveries. The hot path.

Everything that waits for one commit is written by a statement or two, its rows as arrays: a row at a time would be a
round trip at a time. The writer is alone (`actors.ledger.postgres.fence`), so what it has looked up stays true until
it commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import StoredEvent

from actors.ledger import rollups
from actors.ledger.event_encoding import duplicate_positions, encode_state
from actors.ledger.group_commit import Work, WorkResult
from actors.ledger.postgres.binary_arrays import Blobs, Numbers, SomeNumbers, Texts, Uuids
from actors.ledger.postgres.recorder import append
from actors.ports import Clock
from domain.delivery import AttemptOutcome, LaneHealth
from domain.errors import FirstTaken, StaleRoutes
from domain.tracking import EventToRecord, RecordedEvents
from domain.values import TRIGGER_CODES

KNOWN: Final = "{often}SELECT originator_id FROM stored_events WHERE originator_id {in $1} AND originator_version = 1"
TAKEN: Final = (
    "{often}SELECT f.message_key, f.first_key FROM unnest($1, $2) AS wanted (message_key, first_key)"
    " CROSS JOIN LATERAL (SELECT message_key, first_key FROM first_hits"
    "  WHERE message_key = wanted.message_key AND first_key = wanted.first_key OFFSET 0) AS f"
)
STATE: Final = "SELECT m.value, d.last_id FROM meta AS m, delivery_ids AS d WHERE m.name = 'routes_version'"
INSERT_EVENTS: Final = (
    "{often}WITH stored AS (INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    "  SELECT id, 1, 'tracking-event.recorded', state FROM unnest($1, $2) AS e (id, state))"
    " INSERT INTO events (account_no, event_id, type, message_key)"
    " SELECT account_no, id, type, message_key FROM unnest($3, $1, $4, $5) AS e (account_no, id, type, message_key)"
)
INSERT_FIRSTS: Final = "{often}INSERT INTO first_hits (message_key, first_key) SELECT * FROM unnest($1, $2)"
INSERT_DELIVERIES: Final = (
    "{often}WITH taken AS (UPDATE delivery_ids SET last_id = $6)"
    " INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
    " SELECT id, loop_no, event_id, type, 0, 0, at_ms, at_ms"
    " FROM unnest($1, $2, $3, $4, $5) AS d (id, loop_no, event_id, type, at_ms)"
)
# What arrived (1) has arrived, whatever another attempt comes to; what is dead (2) can only be found to have arrived.
# A replay makes either pending again, and counts its attempts: only a later one moves it on.
# A delivery that was dropped or erased leaves nothing behind, not even an answer that was under way.
# The ids are sorted, so a delivery's place in the lists is the number of those up to it, which `width_bucket` looks up:
# a join could be turned round, into one that reads all deliveries for each outcome.
_PLACE: Final = "[width_bucket(d.id, $1)]"
RECORD_OUTCOMES: Final = (
    f"{{often}}WITH moved AS (UPDATE deliveries AS d SET state = $9{_PLACE}, attempts = $2{_PLACE},"  # noqa: S608 - no value is in it
    f"  due_at_ms = $10{_PLACE}, forgiven = greatest(d.forgiven, $12{_PLACE})"
    f"  WHERE d.id {{in $1}} AND d.attempts < $2{_PLACE} AND (d.state = 0 OR d.state = 2 AND $9{_PLACE} = 1)),"
    " recorded AS (INSERT INTO attempts"
    "  (delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes, response_headers)"
    "  SELECT o.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $11, $13) AS o (id)"
    "  CROSS JOIN LATERAL (SELECT FROM deliveries WHERE id = o.id OFFSET 0) AS d"
    "  ON CONFLICT DO NOTHING RETURNING delivery_id)"
    " SELECT d.loop_no, r.delivery_id FROM recorded AS r"
    " CROSS JOIN LATERAL (SELECT loop_no FROM deliveries WHERE id = r.delivery_id OFFSET 0) AS d"
)
SET_HEALTH: Final = (
    "{often}INSERT INTO loop_health"
    " (loop_no, breaker, failing_since_ms, last_success_ms, last_failure_ms, failures, next_probe_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (loop_no) DO UPDATE SET breaker = excluded.breaker,"
    " failing_since_ms = excluded.failing_since_ms, last_success_ms = excluded.last_success_ms,"
    " last_failure_ms = excluded.last_failure_ms, failures = excluded.failures, next_probe_ms = excluded.next_probe_ms"
)


class TransactionStart(NamedTuple):
    """What a transaction that records events begins with."""

    routes_version: int
    #: The highest id that any delivery was given.
    last_id: int


@dataclass(frozen=True, slots=True)
class RecordEvents:
    """One caller's events. WorkResult by itself it raises what `record_events` gives as its error."""

    routes_version: int
    events: Sequence[EventToRecord]
    clock: Clock

    def __call__(self, cursor: Any) -> RecordedEvents:
        [done] = record_events(cursor, [self], TransactionStart(*cursor.execute(STATE).fetchone()))
        if done.error is not None:
            raise done.error
        recorded: RecordedEvents = done.value
        return recorded


@dataclass(frozen=True, slots=True)
class RecordOutcomes:
    """One caller's outcomes."""

    outcomes: Sequence[AttemptOutcome]
    health: tuple[int, LaneHealth] | None

    def __call__(self, cursor: Any) -> None:
        record_outcomes(cursor, [self])


class PostgresWrites:
    """`StoreWrites` on PostgreSQL."""

    def append(self, events: Sequence[StoredEvent]) -> Work[None]:
        """See `StoreWrites.append`."""
        return lambda cursor: append(cursor, events)

    def record_events(self, routes_version: int, events: Sequence[EventToRecord], clock: Clock) -> Work[RecordedEvents]:
        """See `StoreWrites.record_events`."""
        return RecordEvents(routes_version, events, clock)

    def record_outcomes(self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None) -> Work[None]:
        """See `StoreWrites.record_outcomes`."""
        return RecordOutcomes(outcomes, health)


# --- events


class _Batch:
    """Rows to insert, gathered over callers in their order; each sees the ones before it as written."""

    def __init__(self, known: TransactionStart, events: set[bytes], firsts: set[tuple[int, int]]) -> None:
        self._known = known
        self._recorded = events
        self._taken = firsts
        self.events: list[EventToRecord] = []
        self.firsts: list[tuple[int, int]] = []
        #: id, loop, event, type and time of each delivery.
        self.deliveries: list[tuple[int, int, bytes, int, int]] = []
        self._ids = count(known.last_id + 1)

    @property
    def last_id(self) -> int:
        """The highest id that any delivery was given so far."""
        return self._known.last_id + len(self.deliveries)

    def take(self, work: RecordEvents) -> WorkResult:
        """Takes in one caller's events that are new, all or, with an error, none."""
        if work.routes_version != self._known.routes_version:
            current = self._known.routes_version
            error = StaleRoutes(f"routed with version {work.routes_version}, the current one is {current}", current)
            return WorkResult(None, error)
        repeated = duplicate_positions([event.event_id for event in work.events], self._recorded)
        skipped = set(repeated)
        new = [event for position, event in enumerate(work.events) if position not in skipped]
        firsts = [(e.message_key, e.first_key) for e in new if e.first_key is not None]
        if len(set(firsts)) < len(firsts) or not self._taken.isdisjoint(firsts):
            return WorkResult(None, FirstTaken("another event was first"))
        self._taken.update(firsts)
        self._recorded.update(event.event_id for event in new)
        self.events += new
        self.firsts += firsts
        now_ms = work.clock.now_ms()
        ids = [[] if n in skipped else self._owe(event, now_ms) for n, event in enumerate(work.events)]
        return WorkResult(RecordedEvents(ids, repeated))

    def _owe(self, event: EventToRecord, now_ms: int) -> list[int]:
        ids = [next(self._ids) for _ in event.loop_nos]
        type_ = TRIGGER_CODES[event.type]
        self.deliveries += [
            (id_, loop_no, event.event_id, type_, now_ms) for id_, loop_no in zip(ids, event.loop_nos, strict=True)
        ]
        return ids


def record_events(cursor: Any, works: Sequence[RecordEvents], known: TransactionStart) -> list[WorkResult]:
    """Stores those events that are new, each with one pending delivery per loop, due now; gives each caller's answer.

    The ids of deliveries are consecutive, in the order of callers, events and loops.
    """
    if not works:
        return []
    batch = _Batch(known, _recorded(cursor, works), _taken(cursor, works))
    done = [batch.take(work) for work in works]
    if batch.events:
        _insert(cursor, batch)
        rollups.count_events(cursor, batch.events, works[-1].clock.now_ms())
    return done


def _recorded(cursor: Any, works: Sequence[RecordEvents]) -> set[bytes]:
    ids = [event.event_id for work in works for event in work.events]
    return {row[0] for row in cursor.execute(KNOWN, (Uuids(ids),)).fetchall()} if ids else set()


def _taken(cursor: Any, works: Sequence[RecordEvents]) -> set[tuple[int, int]]:
    wanted = [(e.message_key, e.first_key) for work in works for e in work.events if e.first_key is not None]
    if not wanted:
        return set()
    keys, firsts = zip(*wanted, strict=True)
    return set(cursor.execute(TAKEN, (Numbers(keys), Numbers(firsts))).fetchall())


def _insert(cursor: Any, batch: _Batch) -> None:
    events = batch.events
    columns = (
        Uuids([e.event_id for e in events]),
        Blobs([encode_state(e) for e in events]),
        Numbers([e.account_no for e in events]),
        Numbers([TRIGGER_CODES[e.type] for e in events]),
        Numbers([e.message_key for e in events]),
    )
    cursor.execute(INSERT_EVENTS, columns)
    if batch.firsts:
        cursor.execute(INSERT_FIRSTS, [Numbers(column) for column in zip(*batch.firsts, strict=True)])
    if batch.deliveries:
        ids, loop_nos, event_ids, types, times = zip(*batch.deliveries, strict=True)
        values = (Numbers(ids), Numbers(loop_nos), Uuids(event_ids), Numbers(types), Numbers(times), batch.last_id)
        cursor.execute(INSERT_DELIVERIES, values)


# --- outcomes


def record_outcomes(cursor: Any, works: Sequence[RecordOutcomes]) -> None:
    """Records attempts, and moves each delivery on unless it is further already. What is there already stays."""
    for outcomes in _rounds([outcome for work in works for outcome in work.outcomes]):
        recorded = cursor.execute(RECORD_OUTCOMES, _outcome_columns(outcomes)).fetchall()
        by_id = {outcome.delivery_id: outcome for outcome in outcomes}
        rollups.count_attempts(cursor, ((loop_no, by_id[delivery_id]) for loop_no, delivery_id in recorded))
    for work in works:
        if work.health is not None:
            cursor.execute(SET_HEALTH, (work.health[0], *work.health[1]))


def _rounds(outcomes: Sequence[AttemptOutcome]) -> list[list[AttemptOutcome]]:
    """The outcomes by delivery, none twice in one round: a statement changes a row once. Rounds keep their order."""
    rounds: list[list[AttemptOutcome]] = []
    seen: dict[int, int] = {}
    for outcome in outcomes:
        number = seen.get(outcome.delivery_id, 0)
        seen[outcome.delivery_id] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(outcome)
    return [sorted(outcomes, key=_delivery_id) for outcomes in rounds]


def _delivery_id(outcome: AttemptOutcome) -> int:
    return outcome.delivery_id


def _outcome_columns(outcomes: Sequence[AttemptOutcome]) -> tuple[object, ...]:
    return (
        Numbers([o.delivery_id for o in outcomes]),
        Numbers([o.attempt_no for o in outcomes]),
        Numbers([o.at_ms for o in outcomes]),
        Numbers([o.duration_ms for o in outcomes]),
        SomeNumbers([o.status for o in outcomes]),
        Texts([o.error for o in outcomes]),
        Texts([o.excerpt for o in outcomes]),
        Texts([o.address for o in outcomes]),
        Numbers([o.state for o in outcomes]),
        Numbers([o.due_at_ms for o in outcomes]),
        Numbers([o.response_bytes for o in outcomes]),
        Numbers([o.forgiven for o in outcomes]),
        Texts([o.response_headers for o in outcomes]),
    )
