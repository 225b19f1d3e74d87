"""Drops what is old, a little at a time, so that the file stays level under constant load.

What to drop is looked for beside the writer, on a connection that only reads; the writer is asked for the deletes
alone. Ids and events are stored in the order of time, so what goes together lies together, and whole pages become free
for what comes next.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final, NamedTuple, Protocol

import msgspec

from actors.ledger.sqlite.group_commit import GroupCommit
from actors.ledger.sqlite.outbox import TrackingEventState
from actors.ledger.sqlite.projector import first_hit
from actors.ledger.sqlite.queries import json_text
from actors.ledger.sqlite.reading import ReadConnection, Row
from actors.ports import Clock, RetentionLimits
from domain.tracking_event import TrackingEventRecorded

#: Where a look began, or where one ended that found all there was.
START: Final = (0, 0, "")
Position = tuple[int, int, str]


class Found(NamedTuple):
    """Rows that may go, and the place of the last: the next look goes on after it."""

    rows: Sequence[Row]
    last: Position


class Kind(Protocol):
    """One kind of thing that grows old."""

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:
        """The next rows that may go, oldest first, about `limit`; fewer only when there are no more."""
        ...

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        """Drops those of the rows that may still go, with what belongs to them, and gives how many rows went."""
        ...


# --- deliveries

# Nobody takes what a deleted loop was still owed.
_MAY_GO: Final = "(state <> 0 OR EXISTS (SELECT 1 FROM loops WHERE no = loop_no AND deleted = 1))"
OLD_DELIVERIES: Final = (
    f"SELECT id, attempts FROM deliveries WHERE id > ? AND id < ? AND created_at_ms < ? AND {_MAY_GO}"  # noqa: S608 - no value is in it
    " ORDER BY id LIMIT ?"
)
DROP_DELIVERIES: Final = (
    f"DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?)) AND {_MAY_GO} RETURNING id"  # noqa: S608 - no value is in it
)
DROP_ATTEMPTS: Final = "DELETE FROM attempts WHERE delivery_id IN (SELECT value FROM json_each(?))"
_ENDS: Final = "SELECT (SELECT min(id) FROM deliveries), (SELECT max(id) FROM deliveries)"
_CREATED_FROM: Final = "SELECT id, created_at_ms FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1"


class Deliveries:
    """Delivered and dead ones, and all of deleted loops, with their attempts."""

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:
        before_ms = limits.deliveries_before_ms
        if before_ms is None:
            return Found([], START)
        found = reading.rows(OLD_DELIVERIES, (after[0], first_id_since(reading, before_ms), before_ms, limit))
        # With its attempts a delivery is many rows.
        sums = accumulate(1 + attempts for _, attempts in found)
        enough = 1 + sum(1 for _ in takewhile(lambda rows: rows < limit, sums))
        rows = found[:enough]
        return Found(rows, (rows[-1][0], 0, "") if len(found) == limit or len(rows) < len(found) else START)

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        gone = [row[0] for row in cursor.execute(DROP_DELIVERIES, (json_text(row[0] for row in rows),))]
        return len(gone) + cursor.execute(DROP_ATTEMPTS, (json_text(gone),)).rowcount


def first_id_since(reading: ReadConnection, at_ms: int) -> int:
    """An id from which on deliveries were created at `at_ms` or later. Ids follow time, but for a clock set back."""
    [(low, high)] = reading.rows(_ENDS)
    if low is None:
        return 0
    first, after_last = int(low), int(high) + 1
    while first < after_last:
        middle = (first + after_last) // 2
        found = reading.row(_CREATED_FROM, (middle,))
        if found is not None and found[1] < at_ms:
            first = int(found[0]) + 1
        else:
            after_last = middle
    return first


# --- attempts of deliveries that stay

OLD_ATTEMPTS: Final = (
    "SELECT delivery_id, no FROM attempts WHERE (delivery_id, no) > (?, ?) AND delivery_id < ? AND at_ms < ?"
    " ORDER BY delivery_id, no LIMIT ?"
)
_DROP_ATTEMPT: Final = "DELETE FROM attempts WHERE delivery_id = ? AND no = ?"


class Attempts:
    """Attempts; how many there were stays known of the delivery."""

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:
        before_ms = limits.attempts_before_ms
        if before_ms is None:
            return Found([], START)
        until_id = first_id_since(reading, before_ms)  # an attempt is never older than its delivery
        rows = reading.rows(OLD_ATTEMPTS, (*after[:2], until_id, before_ms, limit))
        return Found(rows, (*rows[-1], "") if len(rows) == limit else START)

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        return cursor.executemany(_DROP_ATTEMPT, rows).rowcount


# --- events

# The newest row stays: SQLite gives the number after the highest to the next, and eventsourcing takes it for new.
OLD_EVENTS: Final = (
    "SELECT originator_id, state FROM stored_events WHERE originator_id > ? AND originator_id < ?"
    " AND originator_version = 1 AND topic = ? AND rowid < (SELECT max(rowid) FROM stored_events)"
    " ORDER BY originator_id LIMIT ?"
)
NEEDED: Final = "SELECT DISTINCT event_id FROM deliveries WHERE event_id IN ({})"
_DROP_STORED: Final = "DELETE FROM stored_events WHERE originator_id = ? AND originator_version = 1"
_DROP_EVENT: Final = "DELETE FROM events WHERE account_no = ? AND event_id = ?"
_DROP_FIRST: Final = "DELETE FROM first_hits WHERE message_key = ? AND first_key = ?"
_decode_state: Final = msgspec.json.Decoder(TrackingEventState).decode


class Events:
    """Tracking events of which no delivery is kept, with the first hits that they claimed."""

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:
        if limits.events_before_ms is None:
            return Found([], START)
        # An event's id is a UUIDv7 (RFC 9562 5.7): 48 bits of time, in 12 digits, come first.
        until_id = f"{max(limits.events_before_ms, 0):012x}"
        found = self._look(reading, after[2], until_id, limit)
        while len(found.rows) == 0 and found.last != START:
            found = self._look(reading, found.last[2], until_id, limit)
        return found

    def _look(self, reading: ReadConnection, after_id: str, until_id: str, limit: int) -> Found:
        old = reading.rows(OLD_EVENTS, (after_id, until_id, TrackingEventRecorded.TOPIC, limit))
        ids = [bytes.fromhex(row[0]) for row in old]
        needed = {row[0] for row in reading.rows(NEEDED.format(",".join("?" * len(ids))), ids)}
        rows = [row for row, event_id in zip(old, ids, strict=True) if event_id not in needed]
        return Found(rows, (0, 0, old[-1][0]) if len(old) == limit else START)

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        events = [(bytes.fromhex(row[0]), _decode_state(row[1])) for row in rows]
        cursor.executemany(_DROP_STORED, [row[:1] for row in rows])
        cursor.executemany(_DROP_EVENT, [(state.account_no, event_id) for event_id, state in events])
        firsts = (first_hit(state.message_key, state.type, state.fields) for _, state in events)
        cursor.executemany(_DROP_FIRST, [first for first in firsts if first is not None])
        return len(rows)


# --- replays

# The newest row stays: SQLite gives the number after the highest to the next, and ids are given once.
OLD_REPLAYS: Final = (
    "SELECT id FROM replays WHERE id > ? AND created_at_ms < ? AND state <> 'running'"
    " AND id < (SELECT max(id) FROM replays) ORDER BY id LIMIT ?"
)
_DROP_REPLAY: Final = "DELETE FROM replays WHERE id = ?"


class Replays:
    """Ended ones, as old as the deliveries that may go."""

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:
        before_ms = limits.deliveries_before_ms
        rows = [] if before_ms is None else reading.rows(OLD_REPLAYS, (after[0], before_ms, limit))
        return Found(rows, (rows[-1][0], 0, "") if len(rows) == limit else START)

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        return cursor.executemany(_DROP_REPLAY, rows).rowcount


# --- answers to repeated requests

EXPIRED_KEYS: Final = (
    "SELECT rowid, kept_until_ms FROM idempotency WHERE kept_until_ms <= ? ORDER BY kept_until_ms LIMIT ?"
)
_DROP_KEY: Final = "DELETE FROM idempotency WHERE rowid = ? AND kept_until_ms = ?"


class IdempotencyKeys:
    """Those whose 24 hours are over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find(self, reading: ReadConnection, limits: RetentionLimits, after: Position, limit: int) -> Found:  # noqa: ARG002
        return Found(reading.rows(EXPIRED_KEYS, (self._clock.now_ms(), limit)), START)

    def drop(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> int:
        return cursor.executemany(_DROP_KEY, rows).rowcount


# --- all of them


class Sweep:
    """`RetentionLedger`: each call is one step, and the kinds take turns. For one caller at a time.

    Steps go on from where the one before ended, past what is kept, and begin anew when the end is reached.
    """

    def __init__(self, commits: GroupCommit, reading: ReadConnection, clock: Clock) -> None:
        self._commits = commits
        self._reading = reading
        self._kinds: list[Kind] = [Deliveries(), Events(), Attempts(), Replays(), IdempotencyKeys(clock)]
        self._after: dict[Kind, Position] = {}

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """See `RetentionLedger.drop_old`."""
        for _ in range(len(self._kinds)):
            kind = self._kinds.pop(0)
            self._kinds.append(kind)
            if dropped := await self._step(kind, limits, limit):
                return dropped
        return 0

    async def _step(self, kind: Kind, limits: RetentionLimits, limit: int) -> int:
        while True:
            after = self._after.get(kind, START)
            found = await asyncio.to_thread(kind.find, self._reading, limits, after, limit)
            dropped = await self._drop(kind, found.rows) if found.rows else 0
            self._after[kind] = found.last
            if dropped or after == found.last == START:
                return dropped

    async def _drop(self, kind: Kind, rows: Sequence[Row]) -> int:
        return await self._commits.run(lambda cursor: kind.drop(cursor, rows), len(rows))
