"""Outbox on PostgreSQL: stores tracking events, each with one delivery per loop. This is the hot path.

All events that wait for one commit are written by one or two statements, with their rows as arrays: single rows would
cost one round trip each. There is only one writer (`actors.ledger.postgres.fence`), so what it has looked up stays
valid until it commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger import rollups
from actors.ledger.event_encoding import duplicate_positions, encode_mails, encode_state
from actors.ledger.postgres.binary_arrays import Blobs, Numbers, OptionalUuids, Texts, Uuids
from actors.ledger.postgres.fence import StoreCounters
from actors.ledger.postgres.outcomes import RecordOutcomes
from actors.ledger.projector import project
from actors.ledger.report_rows import COLUMNS, ReportRow, sort_reports
from actors.ledger.session import Work, WorkResult
from actors.ports import Clock
from domain.delivery import AttemptOutcome, LaneHealth
from domain.errors import FirstTaken, StaleRoutes
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord

APPEND: Final = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state) SELECT * FROM unnest($1, $2, $3, $4)"
)
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
INSERT_MAILS: Final = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    " SELECT id, 2, 'tracking-event.mail-kept', state FROM unnest($1, $2) AS e (id, state)"
)
KNOWN_DIGESTS: Final = (
    "{often}SELECT d.digest, d.report_id FROM unnest($1) AS wanted (digest)"
    " CROSS JOIN LATERAL (SELECT digest, report_id FROM report_digests WHERE digest = wanted.digest OFFSET 0) AS d"
)
INSERT_DIGESTS: Final = "{often}INSERT INTO report_digests (digest, report_id) SELECT * FROM unnest($1, $2)"
#: A row of a batch that is sent again exists.
INSERT_REPORTS: Final = (
    f"{{often}}INSERT INTO reports ({', '.join(COLUMNS)})"  # noqa: S608 - constants only
    " SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
)
INSERT_FIRSTS: Final = "{often}INSERT INTO first_hits (message_key, first_key) SELECT * FROM unnest($1, $2)"
INSERT_DELIVERIES: Final = (
    "{often}WITH taken AS (UPDATE delivery_ids SET last_id = $6)"
    " INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
    " SELECT id, loop_no, event_id, type, 0, 0, at_ms, at_ms"
    " FROM unnest($1, $2, $3, $4, $5) AS d (id, loop_no, event_id, type, at_ms)"
)


@dataclass(frozen=True, slots=True)
class RecordEvents:
    """Work that records the events of one caller. Run alone, it raises the error that `record_events` returns."""

    routes_version: int
    events: Sequence[EventToRecord]
    reports: Sequence[ReportToRecord]
    clock: Clock

    def __call__(self, cursor: Any) -> RecordedEvents:
        [result] = record_events(cursor, [self], StoreCounters(*cursor.execute(STATE).fetchone()))
        if result.error is not None:
            raise result.error
        recorded: RecordedEvents = result.value
        return recorded


class PostgresWrites:
    """`StoreWrites` on PostgreSQL, as requests that a `PostgresSession` can merge."""

    def append(self, events: Sequence[StoredEvent]) -> Work[None]:
        return lambda cursor: append(cursor, events)

    def record_events(
        self,
        routes_version: int,
        events: Sequence[EventToRecord],
        reports: Sequence[ReportToRecord],
        clock: Clock,
    ) -> Work[RecordedEvents]:
        return RecordEvents(routes_version, events, reports, clock)

    def record_outcomes(self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None) -> Work[None]:
        return RecordOutcomes(outcomes, health)


@dataclass(frozen=True, slots=True)
class _Known:
    """The part of a batch that the store has."""

    #: Ids of events.
    events: set[bytes]
    #: Rows of `first_hits`.
    firsts: set[tuple[int, int]]
    #: Digests of reports, each with the id of its report.
    digests: dict[bytes, bytes]


class _Batch:
    """Rows to insert for several callers, in order. Each caller sees the rows of the callers before it as written."""

    def __init__(self, counters: StoreCounters, known: _Known) -> None:
        self._counters = counters
        self._known = known
        self.events: list[EventToRecord] = []
        self.firsts: list[tuple[int, int]] = []
        self.reports: list[ReportRow] = []
        self.digests: list[tuple[bytes, bytes]] = []
        #: Id, loop number, event id, type and creation time (Unix milliseconds) of each delivery.
        self.deliveries: list[tuple[int, int, bytes, int, int]] = []
        self._ids = count(counters.last_id + 1)

    @property
    def last_id(self) -> int:
        """The highest delivery id given so far, including this batch."""
        return self._counters.last_id + len(self.deliveries)

    def add(self, work: RecordEvents) -> WorkResult:
        """Adds the new events and reports of one caller: all of them, or none and an error."""
        if work.routes_version != self._counters.routes_version:
            current = self._counters.routes_version
            error = StaleRoutes(f"routed with version {work.routes_version}, the current one is {current}", current)
            return WorkResult(None, error)
        found = sort_reports(work.reports, self._known.digests)
        events, shift = [*work.events, *found.events], len(work.events)
        unwanted = {position + shift for position in found.of_repeated}
        known = duplicate_positions([event.event_id for event in events], self._known.events)
        repeated = sorted({*known, *(position + shift for position in found.sent_again)}.difference(unwanted))
        skipped = unwanted.union(repeated)
        new = [event for position, event in enumerate(events) if position not in skipped]
        firsts = [(e.message_key, e.first_key) for e in new if e.first_key is not None]
        if len(set(firsts)) < len(firsts) or not self._known.firsts.isdisjoint(firsts):
            return WorkResult(None, FirstTaken("another event was first"))
        self._known.firsts.update(firsts)
        self._known.events.update(event.event_id for event in new)
        self._known.digests.update(found.digests)
        self.events += new
        self.firsts += firsts
        self.reports += found.rows
        self.digests += found.digests
        now_ms = work.clock.now_ms()
        ids = [[] if n in skipped else self._add_deliveries(event, now_ms) for n, event in enumerate(events)]
        return WorkResult(RecordedEvents(ids, repeated, tuple(found.repeated)))

    def _add_deliveries(self, event: EventToRecord, now_ms: int) -> list[int]:
        ids = [next(self._ids) for _ in event.loop_nos]
        type_ = TRIGGER_CODES[event.type]
        self.deliveries += [
            (id_, loop_no, event.event_id, type_, now_ms) for id_, loop_no in zip(ids, event.loop_nos, strict=True)
        ]
        return ids


def append(cursor: Any, events: Sequence[StoredEvent]) -> None:
    """Inserts events of aggregates, and the read model rows that follow from them, in the cursor's transaction.

    Raises:
        psycopg.errors.UniqueViolation: the version of an event, or another unique value, is taken.
    """
    columns = (
        Uuids([UUID(str(e.originator_id)).bytes for e in events]),
        Numbers([e.originator_version for e in events]),
        Texts([e.topic for e in events]),
        Blobs([e.state for e in events]),
    )
    cursor.execute(APPEND, columns)
    project(cursor, events)


def record_events(cursor: Any, works: Sequence[RecordEvents], counters: StoreCounters) -> list[WorkResult]:
    """Stores new events, each with one pending delivery per loop, due now. Returns one result per caller.

    Delivery ids are consecutive, in the order of callers, events and loops.
    """
    if not works:
        return []
    batch = _Batch(counters, _Known(_recorded(cursor, works), _taken(cursor, works), _known_digests(cursor, works)))
    results = [batch.add(work) for work in works]
    if batch.events:
        _insert(cursor, batch)
        rollups.count_events(cursor, batch.events, works[-1].clock.now_ms())
    if batch.reports:
        _insert_reports(cursor, batch)
    return results


def _recorded(cursor: Any, works: Sequence[RecordEvents]) -> set[bytes]:
    ids = [event.event_id for work in works for event in work.events]
    ids += [event.event_id for work in works for report in work.reports for event in report.events]
    return {row[0] for row in cursor.execute(KNOWN, (Uuids(ids),)).fetchall()} if ids else set()


def _taken(cursor: Any, works: Sequence[RecordEvents]) -> set[tuple[int, int]]:
    wanted = [(e.message_key, e.first_key) for work in works for e in work.events if e.first_key is not None]
    if not wanted:
        return set()
    keys, firsts = zip(*wanted, strict=True)
    return set(cursor.execute(TAKEN, (Numbers(keys), Numbers(firsts))).fetchall())


def _known_digests(cursor: Any, works: Sequence[RecordEvents]) -> dict[bytes, bytes]:
    digests = {report.digest for work in works for report in work.reports}
    return dict(cursor.execute(KNOWN_DIGESTS, (Blobs(digests),)).fetchall()) if digests else {}


def _insert_reports(cursor: Any, batch: _Batch) -> None:
    if batch.digests:
        digests, ids = zip(*batch.digests, strict=True)
        cursor.execute(INSERT_DIGESTS, (Blobs(digests), Uuids(ids)))
    kinds = (Numbers, Uuids, Numbers, Texts, Texts, Numbers, Numbers, OptionalUuids)
    columns = zip(*batch.reports, strict=True)
    cursor.execute(INSERT_REPORTS, [kind(column) for kind, column in zip(kinds, columns, strict=True)])


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
    if mails := encode_mails(events):
        ids_of_mails, states = zip(*mails, strict=True)
        cursor.execute(INSERT_MAILS, (Uuids(ids_of_mails), Blobs(states)))
    if batch.firsts:
        cursor.execute(INSERT_FIRSTS, [Numbers(column) for column in zip(*batch.firsts, strict=True)])
    if batch.deliveries:
        ids, loop_nos, event_ids, types, times = zip(*batch.deliveries, strict=True)
        values = (Numbers(ids), Numbers(loop_nos), Uuids(event_ids), Numbers(types), Numbers(times), batch.last_id)
        cursor.execute(INSERT_DELIVERIES, values)
