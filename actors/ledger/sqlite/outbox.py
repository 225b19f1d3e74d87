"""Outbox on SQLite: stores tracking events with one delivery per loop, and outcomes. This is the hot path."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import count
from typing import Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger import rollups
from actors.ledger.event_encoding import duplicate_positions, encode_mails, encode_state
from actors.ledger.projector import project
from actors.ledger.report_rows import SortedReports, sort_reports
from actors.ledger.session import Work
from actors.ledger.sqlite.dialect import LedgerCursor, json_text
from actors.ports import Clock
from domain.delivery import AttemptOutcome, LaneHealth
from domain.errors import FirstTaken, StaleRoutes
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord

KNOWN: Final = (
    "SELECT originator_id FROM stored_events"
    " WHERE originator_id IN (SELECT value FROM json_each(?)) AND originator_version = 1"
)
_APPEND: Final = "INSERT INTO stored_events VALUES (?, ?, ?, ?)"
_INSERT_STORED: Final = "INSERT INTO stored_events VALUES (?, 1, 'tracking-event.recorded', ?)"
_INSERT_MAIL: Final = "INSERT INTO stored_events VALUES (?, 2, 'tracking-event.mail-kept', ?)"
KNOWN_DIGESTS: Final = "SELECT digest, report_id FROM report_digests WHERE digest IN ({})"
_INSERT_DIGEST: Final = "INSERT INTO report_digests (digest, report_id) VALUES (?, ?)"
# A row of a batch that is sent again exists.
_INSERT_REPORT: Final = (
    "INSERT OR IGNORE INTO reports (account_no, report_id, state, source, kind, events, truncated, first_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
#: Parameters of one statement. Every build of SQLite allows this many.
_CHUNK: Final = 500
_INSERT_EVENT: Final = "INSERT INTO events (account_no, event_id, type, message_key) VALUES (?, ?, ?, ?)"
_INSERT_FIRST: Final = "INSERT INTO first_hits (message_key, first_key) VALUES (?, ?)"
_TAKE_IDS: Final = "UPDATE delivery_ids SET last_id = last_id + ? RETURNING last_id"
_INSERT_DELIVERY: Final = (
    "INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
    " VALUES (?, ?, ?, ?, 0, 0, ?, ?)"
)
# Attempts of deliveries that retention has removed are not recorded. Those of erased deliveries (3) are recorded
# without texts, because handlers may repeat what they received.
_INSERT_ATTEMPT: Final = (
    "INSERT OR IGNORE INTO attempts"
    " (delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes, response_headers)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, CASE state WHEN 3 THEN '' ELSE ?7 END, ?8, ?9,"
    " CASE state WHEN 3 THEN '' ELSE ?10 END FROM deliveries WHERE id = ?1"
)
# A delivered row (1) stays delivered, whatever a later attempt reports; a dead one (2) can only become delivered. A
# replay or retry makes either pending again and raises its number of attempts, so that only later attempts count.
_MOVE_ON: Final = (
    "UPDATE deliveries SET state = ?3, attempts = ?2, due_at_ms = ?4, forgiven = max(forgiven, ?5)"
    " WHERE id = ?1 AND attempts < ?2 AND (state = 0 OR state = 2 AND ?3 = 1)"
)
_SET_HEALTH: Final = (
    "INSERT OR REPLACE INTO loop_health"
    " (loop_no, breaker, failing_since_ms, last_success_ms, last_failure_ms, failures, next_probe_ms, failing_ms,"
    " last_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class SQLiteWrites:
    """`StoreWrites` on SQLite, row by row: the store is in the same process, so there are no round trips to save."""

    def append(self, events: Sequence[StoredEvent]) -> Work[None]:
        return lambda cursor: append(cursor, events)

    def record_events(
        self,
        routes_version: int,
        events: Sequence[EventToRecord],
        reports: Sequence[ReportToRecord],
        clock: Clock,
    ) -> Work[RecordedEvents]:
        return lambda cursor: record_events(cursor, routes_version, events, reports, clock.now_ms())

    def record_outcomes(self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None) -> Work[None]:
        return lambda cursor: record_outcomes(cursor, outcomes, health)


def append(cursor: LedgerCursor, events: Sequence[StoredEvent]) -> None:
    """Inserts events of aggregates, and the read model rows that follow from them, in the cursor's transaction.

    Raises:
        sqlite3.IntegrityError: the version of an event, or another unique value, is taken.
    """
    cursor.executemany(
        _APPEND, [(UUID(str(e.originator_id)).hex, e.originator_version, e.topic, e.state) for e in events]
    )
    project(cursor, events)


def record_events(
    cursor: LedgerCursor,
    routes_version: int,
    events: Sequence[EventToRecord],
    reports: Sequence[ReportToRecord],
    now_ms: int,
) -> RecordedEvents:
    """Stores new events and reports, each event with one pending delivery per loop, due now.

    Raises:
        StaleRoutes, FirstTaken: the caller must roll back to the savepoint.
    """
    _check_routes(cursor, routes_version)
    if not reports:
        return _record(cursor, events, set(), set(), now_ms)
    found = sort_reports(reports, _known_digests(cursor, [report.digest for report in reports]))
    _insert_reports(cursor, found)
    shift = len(events)
    sent_again, of_repeated = ({n + shift for n in positions} for positions in (found.sent_again, found.of_repeated))
    recorded = _record(cursor, [*events, *found.events], sent_again, of_repeated, now_ms)
    return recorded._replace(repeated_reports=tuple(found.repeated))


def _record(
    cursor: LedgerCursor, events: Sequence[EventToRecord], sent_again: set[int], unwanted: set[int], now_ms: int
) -> RecordedEvents:
    """Stores the events that are neither known, nor at the positions `sent_again` and `unwanted`."""
    hexes = [event.event_id.hex() for event in events]
    repeated = duplicate_positions([event.event_id for event in events], _known(cursor, hexes))
    if sent_again or unwanted:
        repeated = sorted({*repeated, *sent_again}.difference(unwanted))
    if not repeated and not unwanted:
        _insert(cursor, events, hexes)
        rollups.count_events(cursor, events, now_ms)
        return RecordedEvents(_insert_deliveries(cursor, events, now_ms), [])
    skipped = unwanted.union(repeated)
    new = [n for n in range(len(events)) if n not in skipped]
    new_events = [events[n] for n in new]
    _insert(cursor, new_events, [hexes[n] for n in new])
    rollups.count_events(cursor, new_events, now_ms)
    delivery_ids = dict(zip(new, _insert_deliveries(cursor, new_events, now_ms), strict=True))
    return RecordedEvents([delivery_ids.get(n, []) for n in range(len(events))], repeated)


def _known_digests(cursor: LedgerCursor, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    known: dict[bytes, bytes] = {}
    for first in range(0, len(digests), _CHUNK):
        chunk = digests[first : first + _CHUNK]
        known.update(cursor.execute(KNOWN_DIGESTS.format(",".join("?" * len(chunk))), chunk).fetchall())
    return known


def _insert_reports(cursor: LedgerCursor, found: SortedReports) -> None:
    cursor.executemany(_INSERT_DIGEST, found.digests)
    cursor.executemany(_INSERT_REPORT, found.rows)


def _check_routes(cursor: LedgerCursor, routes_version: int) -> None:
    (current,) = cursor.execute("SELECT value FROM meta WHERE name = 'routes_version'").fetchone()
    if routes_version != current:
        raise StaleRoutes(f"routed with version {routes_version}, the current one is {current}", current)


def _known(cursor: LedgerCursor, hexes: Sequence[str]) -> set[bytes]:
    return {bytes.fromhex(row[0]) for row in cursor.execute(KNOWN, (json_text(hexes),))}


def _insert(cursor: LedgerCursor, events: Sequence[EventToRecord], hexes: Sequence[str]) -> None:
    firsts = [(e.message_key, e.first_key) for e in events if e.first_key is not None]
    if firsts:
        _claim_firsts(cursor, firsts)
    cursor.executemany(
        _INSERT_STORED,
        [(event_hex, encode_state(e)) for e, event_hex in zip(events, hexes, strict=True)],
    )
    if mails := encode_mails(events):
        cursor.executemany(_INSERT_MAIL, [(event_id.hex(), state) for event_id, state in mails])
    cursor.executemany(
        _INSERT_EVENT, [(e.account_no, e.event_id, TRIGGER_CODES[e.type], e.message_key) for e in events]
    )


def _claim_firsts(cursor: LedgerCursor, firsts: Sequence[tuple[int, int | None]]) -> None:
    try:
        cursor.executemany(_INSERT_FIRST, firsts)
    except sqlite3.IntegrityError as exc:
        raise FirstTaken("another event was first") from exc


def _insert_deliveries(cursor: LedgerCursor, events: Sequence[EventToRecord], now_ms: int) -> list[list[int]]:
    """Inserts the deliveries of new events. Returns their ids, consecutive in the order of events and loops."""
    total = sum(len(event.loop_nos) for event in events)
    if not total:
        return [[] for _ in events]
    [(last_id,)] = cursor.execute(_TAKE_IDS, (total,)).fetchall()
    ids = count(last_id - total + 1)
    delivery_ids = [[next(ids) for _ in event.loop_nos] for event in events]
    cursor.executemany(
        _INSERT_DELIVERY,
        [
            (delivery_id, loop_no, event.event_id, TRIGGER_CODES[event.type], now_ms, now_ms)
            for event, ids_of_event in zip(events, delivery_ids, strict=True)
            for delivery_id, loop_no in zip(ids_of_event, event.loop_nos, strict=True)
        ],
    )
    return delivery_ids


def record_outcomes(
    cursor: LedgerCursor, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None
) -> None:
    """Records new attempts, and updates each delivery unless the delivery has already progressed further.

    `health`: the number of a loop, and its new health.
    """
    cursor.executemany(
        _INSERT_ATTEMPT,
        [
            (
                o.delivery_id,
                o.attempt_no,
                o.at_ms,
                o.duration_ms,
                o.status,
                o.error,
                o.excerpt,
                o.address,
                o.response_bytes,
                o.response_headers,
            )
            for o in outcomes
        ],
    )
    # A batch that is sent again, wholly or partly, was counted the first time. All outcomes are of one loop.
    if outcomes and cursor.rowcount == len(outcomes):
        found = cursor.execute(rollups.LOOP_OF, (outcomes[0].delivery_id,)).fetchone()
        rollups.count_attempts(cursor, ((found[0], outcome) for outcome in outcomes))
    cursor.executemany(_MOVE_ON, [(o.delivery_id, o.attempt_no, o.state, o.due_at_ms, o.forgiven) for o in outcomes])
    if health is not None:
        cursor.execute(_SET_HEALTH, (health[0], *health[1]))
