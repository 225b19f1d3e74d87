"""Writes tracking events with the deliveries they are owed, and what came of the deliveries. The hot path."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec

from actors.ledger.sqlite import minutes
from domain.delivery import AttemptOutcome, LaneHealth
from domain.errors import FirstTaken, StaleRoutes
from domain.tracking import EventToRecord, RecordedEvents
from domain.values import TRIGGER_CODES


class TrackingEventState(msgspec.Struct):
    """The stored state of a `domain.tracking_event.TrackingEventRecorded`, as its mapper reads it."""

    account_no: int
    type: str
    message_key: int
    time_ms: int
    fields: str


_encode_state: Final = msgspec.json.Encoder().encode

KNOWN: Final = (
    "SELECT originator_id FROM stored_events"
    " WHERE originator_id IN (SELECT value FROM json_each(?)) AND originator_version = 1"
)
_INSERT_STORED: Final = "INSERT INTO stored_events VALUES (?, 1, 'tracking-event.recorded', ?)"
_INSERT_EVENT: Final = "INSERT INTO events (account_no, event_id, type, message_key) VALUES (?, ?, ?, ?)"
_INSERT_FIRST: Final = "INSERT INTO first_hits (message_key, first_key) VALUES (?, ?)"
_TAKE_IDS: Final = "UPDATE delivery_ids SET last_id = last_id + ? RETURNING last_id"
_INSERT_DELIVERY: Final = (
    "INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
    " VALUES (?, ?, ?, ?, 0, 0, ?, ?)"
)
# A delivery that was dropped or erased leaves nothing behind, not even an answer that was under way.
_INSERT_ATTEMPT: Final = (
    "INSERT OR IGNORE INTO attempts"
    " (delivery_id, no, at_ms, duration_ms, status, error, excerpt, address, response_bytes)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?1)"
)
# What arrived (1) has arrived, whatever another attempt comes to; what is dead (2) can only be found to have arrived.
# A replay makes either pending again, and counts its attempts: only a later one moves it on.
_MOVE_ON: Final = (
    "UPDATE deliveries SET state = ?3, attempts = ?2, due_at_ms = ?4, forgiven = max(forgiven, ?5)"
    " WHERE id = ?1 AND attempts < ?2 AND (state = 0 OR state = 2 AND ?3 = 1)"
)
_SET_HEALTH: Final = (
    "INSERT OR REPLACE INTO loop_health"
    " (loop_no, breaker, failing_since_ms, last_success_ms, last_failure_ms, failures, next_probe_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def record_events(
    cursor: sqlite3.Cursor, routes_version: int, events: Sequence[EventToRecord], now_ms: int
) -> RecordedEvents:
    """Stores those events that are new, each with one pending delivery per loop, due now.

    Raises:
        StaleRoutes, FirstTaken: the caller has to roll back to where it was before.
    """
    _check_routes(cursor, routes_version)
    hexes = [event.event_id.hex() for event in events]
    duplicates = _duplicates(cursor, hexes)
    if not duplicates:
        _insert(cursor, events, hexes)
        minutes.count_events(cursor, events, now_ms)
        return RecordedEvents(_owe(cursor, events, now_ms), [])
    known = set(duplicates)
    new = [n for n in range(len(events)) if n not in known]
    new_events = [events[n] for n in new]
    _insert(cursor, new_events, [hexes[n] for n in new])
    minutes.count_events(cursor, new_events, now_ms)
    delivery_ids = dict(zip(new, _owe(cursor, new_events, now_ms), strict=True))
    return RecordedEvents([delivery_ids.get(n, []) for n in range(len(events))], duplicates)


def _check_routes(cursor: sqlite3.Cursor, routes_version: int) -> None:
    (current,) = cursor.execute("SELECT value FROM meta WHERE name = 'routes_version'").fetchone()
    if routes_version != current:
        raise StaleRoutes(f"routed with version {routes_version}, the current one is {current}", current)


def _duplicates(cursor: sqlite3.Cursor, hexes: Sequence[str]) -> list[int]:
    seen = {row[0] for row in cursor.execute(KNOWN, (msgspec.json.encode(hexes).decode(),))}
    if not seen and len(set(hexes)) == len(hexes):
        return []
    duplicates = []
    for position, event_hex in enumerate(hexes):
        if event_hex in seen:
            duplicates.append(position)
        seen.add(event_hex)
    return duplicates


def _insert(cursor: sqlite3.Cursor, events: Sequence[EventToRecord], hexes: Sequence[str]) -> None:
    firsts = [(e.message_key, e.first_key) for e in events if e.first_key is not None]
    if firsts:
        _claim_firsts(cursor, firsts)
    cursor.executemany(
        _INSERT_STORED,
        [
            (
                event_hex,
                _encode_state(TrackingEventState(e.account_no, e.type, e.message_key, e.time_ms, e.fields.decode())),
            )
            for e, event_hex in zip(events, hexes, strict=True)
        ],
    )
    cursor.executemany(
        _INSERT_EVENT, [(e.account_no, e.event_id, TRIGGER_CODES[e.type], e.message_key) for e in events]
    )


def _claim_firsts(cursor: sqlite3.Cursor, firsts: Sequence[tuple[int, int | None]]) -> None:
    try:
        cursor.executemany(_INSERT_FIRST, firsts)
    except sqlite3.IntegrityError as exc:
        raise FirstTaken("another event was first") from exc


def _owe(cursor: sqlite3.Cursor, events: Sequence[EventToRecord], now_ms: int) -> list[list[int]]:
    """Inserts the deliveries of new events, and gives their ids: consecutive, in the order of events and loops."""
    total = sum(len(event.loop_nos) for event in events)
    if not total:
        return [[] for _ in events]
    [(last_id,)] = cursor.execute(_TAKE_IDS, (total,)).fetchall()
    ids = count(last_id - total + 1)
    owed = [[next(ids) for _ in event.loop_nos] for event in events]
    cursor.executemany(
        _INSERT_DELIVERY,
        [
            (delivery_id, loop_no, event.event_id, TRIGGER_CODES[event.type], now_ms, now_ms)
            for event, delivery_ids in zip(events, owed, strict=True)
            for delivery_id, loop_no in zip(delivery_ids, event.loop_nos, strict=True)
        ],
    )
    return owed


def record_outcomes(
    cursor: sqlite3.Cursor, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None
) -> None:
    """Records attempts, and moves each delivery on unless it is further already. What is there already stays.

    `health`: a loop's number, and what replaces what was known of how its handler does.
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
            )
            for o in outcomes
        ],
    )
    # A batch that is sent again, in whole or in part, was counted the first time.
    if outcomes and cursor.rowcount == len(outcomes):
        minutes.count_attempts(cursor, outcomes)
    cursor.executemany(_MOVE_ON, [(o.delivery_id, o.attempt_no, o.state, o.due_at_ms, o.forgiven) for o in outcomes])
    if health is not None:
        cursor.execute(_SET_HEALTH, (health[0], *health[1]))
