"""Retention sweeps, one per kind of row: how each finds expired rows and deletes them.

Sweeps delete a little at a time, so that the size of the store stays level under constant load. Ids and events are
stored in order of time: rows that expire together are neighbours, and whole pages become free for new rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final, NamedTuple, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.event_encoding import decode_state
from actors.ledger.projector import first_hit
from actors.ledger.queries.filters import first_event_id
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock, RetentionLimits
from domain.tracking_event import TrackingEventRecorded

#: The position before the first row; also the `last` of a search that reached the end.
START: Final = (0, 0, bytes(16))
Position = tuple[int, int, bytes]


class Expired(NamedTuple):
    """Expired rows, and the position after which the next search continues."""

    rows: Sequence[Row]
    last: Position


class Sweep(Protocol):
    """A sweep over one kind of row."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        """The next expired rows after a position, oldest first: about `limit`, or fewer if there are no more."""
        ...

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        """Deletes the rows that are still expired, with their dependent rows. Returns the number of deleted rows."""
        ...


# --- deliveries

# Pending deliveries of deleted loops will never be sent.
_IS_DONE: Final = "(state <> 0 OR EXISTS (SELECT 1 FROM loops WHERE no = loop_no AND deleted = 1))"
OLD_DELIVERIES: Final = (
    f"SELECT id, attempts FROM deliveries WHERE id > $1 AND id < $2 AND created_at_ms < $3 AND {_IS_DONE}"  # noqa: S608 - constants only
    " ORDER BY id LIMIT $4"
)
DROP_DELIVERIES: Final = f"DELETE FROM deliveries WHERE id {{in $1}} AND {_IS_DONE} RETURNING id"  # noqa: S608 - constants only
DROP_ATTEMPTS: Final = "DELETE FROM attempts WHERE delivery_id {in $1}"
_ENDS: Final = "SELECT (SELECT min(id) FROM deliveries), (SELECT max(id) FROM deliveries)"
_CREATED_FROM: Final = "SELECT id, created_at_ms FROM deliveries WHERE id >= $1 ORDER BY id LIMIT 1"


class DeliverySweep:
    """Delivered and dead deliveries, and all deliveries of deleted loops, with their attempts."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.deliveries_before_ms
        if before_ms is None:
            return Expired([], START)
        found = connection.rows(OLD_DELIVERIES, (after[0], first_id_since(connection, before_ms), before_ms, limit))
        # Count the attempts too: a delivery may have many.
        sums = accumulate(1 + attempts for _, attempts in found)
        enough = 1 + sum(1 for _ in takewhile(lambda rows: rows < limit, sums))
        rows = found[:enough]
        return Expired(rows, (rows[-1][0], 0, START[2]) if len(found) == limit or len(rows) < len(found) else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        many = cursor.dialect.many
        gone = [row[0] for row in cursor.execute(DROP_DELIVERIES, (many([row[0] for row in rows]),)).fetchall()]
        return len(gone) + cursor.execute(DROP_ATTEMPTS, (many(gone),)).rowcount


def first_id_since(connection: StoreConnection, at_ms: int) -> int:
    """The id of the first delivery created at `at_ms` or later, by bisection. A clock set back makes it inexact."""
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


class AttemptSweep:
    """Attempts of deliveries that are kept; the delivery keeps their number."""

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

# The newest row always stays: SQLite numbers a new row after the highest one, and must not reuse a notification id.
OLD_EVENTS: Final = (
    "SELECT originator_id, state FROM stored_events WHERE originator_id > $1 AND originator_id < $2"
    " AND originator_version = 1 AND topic = $3 AND {position} < (SELECT max({position}) FROM stored_events)"
    " ORDER BY originator_id LIMIT $4"
)
NEEDED: Final = "SELECT DISTINCT event_id FROM deliveries WHERE event_id {in $1}"
#: With the returned mail, which has version 2.
_DROP_STORED: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version IN (1, 2)"
_DROP_EVENT: Final = "DELETE FROM events WHERE account_no = $1 AND event_id = $2"
_DROP_FIRST: Final = "DELETE FROM first_hits WHERE message_key = $1 AND first_key = $2"


class EventSweep:
    """Tracking events without deliveries, with the first hits that they claimed."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        if limits.events_before_ms is None:
            return Expired([], START)
        until_id = first_event_id(limits.events_before_ms)
        found = self._search(connection, after[2], until_id, limit)
        while len(found.rows) == 0 and found.last != START:
            found = self._search(connection, found.last[2], until_id, limit)
        return found

    def _search(self, connection: StoreConnection, after_id: bytes, until_id: bytes, limit: int) -> Expired:
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

# The newest row always stays: a new id is one above the highest, and ids must not be reused.
OLD_REPLAYS: Final = (
    "SELECT id FROM replays WHERE id > $1 AND created_at_ms < $2 AND state <> 'running'"
    " AND id < (SELECT max(id) FROM replays) ORDER BY id LIMIT $3"
)
_DROP_REPLAY: Final = "DELETE FROM replays WHERE id = $1"


class ReplaySweep:
    """Ended replays, with the age limit of deliveries."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.deliveries_before_ms
        rows = [] if before_ms is None else connection.rows(OLD_REPLAYS, (after[0], before_ms, limit))
        return Expired(rows, (rows[-1][0], 0, START[2]) if len(rows) == limit else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_REPLAY, rows)
        return cursor.rowcount


# --- idempotency keys

EXPIRED_KEYS: Final = (
    "SELECT scope, key, kept_until_ms FROM idempotency WHERE kept_until_ms <= $1 ORDER BY kept_until_ms LIMIT $2"
)
_DROP_KEY: Final = "DELETE FROM idempotency WHERE scope = $1 AND key = $2 AND kept_until_ms = $3"


_DROP_MESSAGES: Final = (
    "DELETE FROM idempotency_messages WHERE scope = $1 AND key = $2"
    " AND NOT EXISTS (SELECT 1 FROM idempotency WHERE scope = $1 AND key = $2)"
)


class IdempotencySweep:
    """Idempotency-Keys whose 24 hours have passed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:  # noqa: ARG002
        return Expired(connection.rows(EXPIRED_KEYS, (self._clock.now_ms(), limit)), START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_KEY, rows)
        dropped = cursor.rowcount
        cursor.executemany(_DROP_MESSAGES, [(scope, key) for scope, key, _ in rows])
        return dropped
