"""Drops what is old, a little at a time, so that the file stays level under constant load.

What to drop is looked for beside the writer, on a connection that only reads; the writer is asked for the deletes
alone. Ids and events are stored in the order of time, so what goes together lies together, and whole pages become free
for what comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final, NamedTuple, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.event_encoding import decode_state
from actors.ledger.group_commit import GroupCommit
from actors.ledger.projector import first_hit
from actors.ledger.queries.filters import first_event_id
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock, RetentionLimits
from domain.tracking_event import TrackingEventRecorded

#: Where a look began, or where one ended that found all there was.
START: Final = (0, 0, bytes(16))
Position = tuple[int, int, bytes]


class Expired(NamedTuple):
    """Rows that may go, and the place of the last: the next look goes on after it."""

    rows: Sequence[Row]
    last: Position


class Sweep(Protocol):
    """One kind of thing that grows old."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        """The next rows that may go, oldest first, about `limit`; fewer only when there are no more."""
        ...

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        """Drops those of the rows that may still go, with what belongs to them, and gives how many rows went."""
        ...


# --- deliveries

# Nobody takes what a deleted loop was still owed.
_MAY_GO: Final = "(state <> 0 OR EXISTS (SELECT 1 FROM loops WHERE no = loop_no AND deleted = 1))"
OLD_DELIVERIES: Final = (
    f"SELECT id, attempts FROM deliveries WHERE id > $1 AND id < $2 AND created_at_ms < $3 AND {_MAY_GO}"  # noqa: S608 - no value is in it
    " ORDER BY id LIMIT $4"
)
DROP_DELIVERIES: Final = f"DELETE FROM deliveries WHERE id {{in $1}} AND {_MAY_GO} RETURNING id"  # noqa: S608 - no value is in it
DROP_ATTEMPTS: Final = "DELETE FROM attempts WHERE delivery_id {in $1}"
_ENDS: Final = "SELECT (SELECT min(id) FROM deliveries), (SELECT max(id) FROM deliveries)"
_CREATED_FROM: Final = "SELECT id, created_at_ms FROM deliveries WHERE id >= $1 ORDER BY id LIMIT 1"


class Deliveries:
    """Delivered and dead ones, and all of deleted loops, with their attempts."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.deliveries_before_ms
        if before_ms is None:
            return Expired([], START)
        found = connection.rows(OLD_DELIVERIES, (after[0], first_id_since(connection, before_ms), before_ms, limit))
        # With its attempts a delivery is many rows.
        sums = accumulate(1 + attempts for _, attempts in found)
        enough = 1 + sum(1 for _ in takewhile(lambda rows: rows < limit, sums))
        rows = found[:enough]
        return Expired(rows, (rows[-1][0], 0, START[2]) if len(found) == limit or len(rows) < len(found) else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        many = cursor.dialect.many
        gone = [row[0] for row in cursor.execute(DROP_DELIVERIES, (many([row[0] for row in rows]),)).fetchall()]
        return len(gone) + cursor.execute(DROP_ATTEMPTS, (many(gone),)).rowcount


def first_id_since(connection: StoreConnection, at_ms: int) -> int:
    """An id from which on deliveries were created at `at_ms` or later. Ids follow time, but for a clock set back."""
    [(low, high)] = connection.rows(_ENDS)
    if low is None:
        return 0
    first, after_last = int(low), int(high) + 1
    while first < after_last:
        middle = (first + after_last) // 2
        found = connection.row(_CREATED_FROM, (middle,))
        if found is not None and found[1] < at_ms:
            first = int(found[0]) + 1
        else:
            after_last = middle
    return first


# --- attempts of deliveries that stay

OLD_ATTEMPTS: Final = (
    "SELECT delivery_id, no FROM attempts WHERE (delivery_id, no) > ($1, $2) AND delivery_id < $3 AND at_ms < $4"
    " ORDER BY delivery_id, no LIMIT $5"
)
_DROP_ATTEMPT: Final = "DELETE FROM attempts WHERE delivery_id = $1 AND no = $2"


class Attempts:
    """Attempts; how many there were stays known of the delivery."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.attempts_before_ms
        if before_ms is None:
            return Expired([], START)
        until_id = first_id_since(connection, before_ms)  # an attempt is never older than its delivery
        rows = connection.rows(OLD_ATTEMPTS, (*after[:2], until_id, before_ms, limit))
        return Expired(rows, (*rows[-1], START[2]) if len(rows) == limit else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_ATTEMPT, rows)
        return cursor.rowcount


# --- events

# The newest row stays: SQLite gives the number after the highest to the next, and eventsourcing takes it for new.
OLD_EVENTS: Final = (
    "SELECT originator_id, state FROM stored_events WHERE originator_id > $1 AND originator_id < $2"
    " AND originator_version = 1 AND topic = $3 AND {position} < (SELECT max({position}) FROM stored_events)"
    " ORDER BY originator_id LIMIT $4"
)
NEEDED: Final = "SELECT DISTINCT event_id FROM deliveries WHERE event_id {in $1}"
_DROP_STORED: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version = 1"
_DROP_EVENT: Final = "DELETE FROM events WHERE account_no = $1 AND event_id = $2"
_DROP_FIRST: Final = "DELETE FROM first_hits WHERE message_key = $1 AND first_key = $2"


class Events:
    """Tracking events of which no delivery is kept, with the first hits that they claimed."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        if limits.events_before_ms is None:
            return Expired([], START)
        until_id = first_event_id(limits.events_before_ms)
        found = self._look(connection, after[2], until_id, limit)
        while len(found.rows) == 0 and found.last != START:
            found = self._look(connection, found.last[2], until_id, limit)
        return found

    def _look(self, connection: StoreConnection, after_id: bytes, until_id: bytes, limit: int) -> Expired:
        read_id = connection.dialect.event_id_bytes
        found = connection.rows(OLD_EVENTS, (after_id.hex(), until_id.hex(), TrackingEventRecorded.TOPIC, limit))
        old = [(read_id(originator_id), state) for originator_id, state in found]
        needed = {row[0] for row in connection.rows_of_events(NEEDED, [event_id for event_id, _ in old])}
        rows = [row for row in old if row[0] not in needed]
        return Expired(rows, (0, 0, old[-1][0]) if len(old) == limit else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        events = [(event_id, decode_state(state)) for event_id, state in rows]
        cursor.executemany(_DROP_STORED, [(event_id.hex(),) for event_id, _ in events])
        cursor.executemany(
            _DROP_EVENT, [(state.account_no, cursor.dialect.event_id(event_id)) for event_id, state in events]
        )
        firsts = (first_hit(state.message_key, state.type, state.fields) for _, state in events)
        cursor.executemany(_DROP_FIRST, [first for first in firsts if first is not None])
        return len(rows)


# --- replays

# The newest row stays: SQLite gives the number after the highest to the next, and ids are given once.
OLD_REPLAYS: Final = (
    "SELECT id FROM replays WHERE id > $1 AND created_at_ms < $2 AND state <> 'running'"
    " AND id < (SELECT max(id) FROM replays) ORDER BY id LIMIT $3"
)
_DROP_REPLAY: Final = "DELETE FROM replays WHERE id = $1"


class Replays:
    """Ended ones, as old as the deliveries that may go."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.deliveries_before_ms
        rows = [] if before_ms is None else connection.rows(OLD_REPLAYS, (after[0], before_ms, limit))
        return Expired(rows, (rows[-1][0], 0, START[2]) if len(rows) == limit else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_REPLAY, rows)
        return cursor.rowcount


# --- answers to repeated requests

EXPIRED_KEYS: Final = (
    "SELECT scope, key, kept_until_ms FROM idempotency WHERE kept_until_ms <= $1 ORDER BY kept_until_ms LIMIT $2"
)
_DROP_KEY: Final = "DELETE FROM idempotency WHERE scope = $1 AND key = $2 AND kept_until_ms = $3"


class IdempotencyKeys:
    """Those whose 24 hours are over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:  # noqa: ARG002
        return Expired(connection.rows(EXPIRED_KEYS, (self._clock.now_ms(), limit)), START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_KEY, rows)
        return cursor.rowcount


# --- all of them


class RetentionSweeper:
    """`RetentionLedger`: each call is one step, and the kinds take turns. For one caller at a time.

    Steps go on from where the one before ended, past what is kept, and begin anew when the end is reached.
    """

    def __init__(self, commits: GroupCommit, connection: StoreConnection, clock: Clock) -> None:
        self._commits = commits
        self._connection = connection
        self._kinds: list[Sweep] = [Deliveries(), Events(), Attempts(), Replays(), IdempotencyKeys(clock)]
        self._after: dict[Sweep, Position] = {}

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """See `RetentionLedger.drop_old`."""
        for _ in range(len(self._kinds)):
            kind = self._kinds.pop(0)
            self._kinds.append(kind)
            if dropped := await self._step(kind, limits, limit):
                return dropped
        return 0

    async def _step(self, kind: Sweep, limits: RetentionLimits, limit: int) -> int:
        while True:
            after = self._after.get(kind, START)
            found = await asyncio.to_thread(kind.find, self._connection, limits, after, limit)
            dropped = await self._drop(kind, found.rows) if found.rows else 0
            self._after[kind] = found.last
            if dropped or after == found.last == START:
                return dropped

    async def _drop(self, kind: Sweep, rows: Sequence[Row]) -> int:
        return await self._commits.run(lambda cursor: kind.drop(cursor, rows), len(rows))
