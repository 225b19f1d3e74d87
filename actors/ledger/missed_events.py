"""Events that a loop missed while it was disabled: found in the event log a little at a time, for replays."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final, NamedTuple

from actors.ledger.dialect import Cursor
from actors.ledger.event_encoding import is_erased
from actors.ledger.loop_history import LOOP, LoopHistory
from actors.ledger.queries.filters import first_event_id, id_after, id_before
from actors.ledger.store_connection import StoreConnection
from domain.delivery import ReplayProgress
from domain.event_catalogue.triggers import TRIGGER_CODES, TRIGGER_NAMES

#: More missed events than this are estimated, and so are those that are not found within `COUNTING_S`.
MAX_COUNTED: Final = 100_000
COUNTING_S: Final = 5.0
#: Events per query.
PAGE: Final = 1000
#: Queries per step of a replay, so that few matches do not make it slow.
PAGES_PER_STEP: Final = 10

_KEYS: Final = (
    "SELECT event_id, type FROM events {{by events_of_type}}"
    " WHERE account_no = $1 AND type = {type} AND event_id > $2 AND event_id < $3"
)
_ORDER: Final = "event_id LIMIT $4"
_EVENTS: Final = (
    "SELECT e.event_id, e.type, s.state, s.{position},"
    " EXISTS (SELECT 1 FROM deliveries WHERE event_id = e.event_id AND loop_no = $5)"
    " FROM ({keys}) AS e {join} {stored e} ORDER BY e.event_id"
)
_COUNT: Final = (
    "SELECT count(*) FROM events {{by events_of_type}}"
    " WHERE account_no = $1 AND type IN ({types}) AND event_id > $2 AND event_id < $3"
)
_TAKE_IDS: Final = "UPDATE delivery_ids SET last_id = last_id + $1 RETURNING last_id"
_INSERT: Final = (
    "INSERT INTO deliveries (id, loop_no, event_id, type, state, attempts, created_at_ms, due_at_ms)"
    " VALUES ($1, $2, $3, $4, 0, 0, $5, $5)"
)


class Found(NamedTuple):
    """Missed events between two positions (hexadecimal event ids; "" is the start)."""

    after: str
    last: str
    #: Id and type of each.
    events: list[tuple[bytes, int]]
    is_end: bool


def find(connection: StoreConnection, replay: ReplayProgress, limit: int) -> Found:
    """The next missed events of a replay, oldest first, at most `limit`. Looks at a bounded number of events."""
    history = LoopHistory.read(connection, replay.loop_no)
    after = bytes.fromhex(replay.at_event) or bytes(16)
    found: list[tuple[bytes, int]] = []
    for _ in range(PAGES_PER_STEP):
        page = min(limit - len(found), PAGE)
        missed, after = _page(connection, history, replay.since_ms, replay.until_ms, after, page)
        if missed is None:
            return Found(replay.at_event, after.hex(), found, is_end=True)
        found += missed
        if len(found) > limit // 2:
            break
    return Found(replay.at_event, after.hex(), found, is_end=False)


def _page(
    connection: StoreConnection, history: LoopHistory, since_ms: int, until_ms: int, after: bytes, limit: int
) -> tuple[list[tuple[bytes, int]] | None, bytes]:
    """The missed events among the next `limit` events, and the position that was reached; None at the end."""
    for lower, upper in history.windows(since_ms, until_ms):
        if upper <= after:
            continue
        event_id = connection.dialect.event_id
        keys = (history.account_no, event_id(max(lower, after)), event_id(upper), limit, history.loop_no)
        rows = connection.rows(events_statement(history.event_filter.triggers), keys)
        missed = [
            (bytes(id_), type_)
            for id_, type_, state, position, is_owed in rows
            if not is_owed and history.wants(position, type_, state)
        ]
        if rows:
            return missed, bytes(rows[-1][0])
        after = upper
    return None, after


def record(cursor: Cursor, replay: ReplayProgress, found: Found, now_ms: int) -> int:
    """Makes deliveries, due now, of the events that are still stored. Returns their number.

    Nobody else makes deliveries of these events: a loop has one replay at a time, and others only of new events.
    """
    if not found.events:
        return 0
    kept = _kept(cursor, replay.loop_no, found)
    events = [event for event in found.events if event[0] in kept]
    if not events:
        return 0
    [(last_id,)] = cursor.execute(_TAKE_IDS, (len(events),)).fetchall()
    first_id = last_id - len(events) + 1
    cursor.executemany(
        _INSERT,
        [
            (first_id + n, replay.loop_no, cursor.dialect.event_id(event_id), type_, now_ms)
            for n, (event_id, type_) in enumerate(events)
        ],
    )
    return len(events)


def _kept(cursor: Cursor, loop_no: int, found: Found) -> set[bytes]:
    """Ids of the found events that retention has not removed, and no erasure redacted, since."""
    [(_, account_no, _)] = cursor.execute(LOOP, (loop_no,)).fetchall()
    triggers = tuple(sorted({TRIGGER_NAMES[type_] for _, type_ in found.events}))
    lower, upper = id_before(found.events[0][0]), id_after(found.events[-1][0])
    event_id = cursor.dialect.event_id
    keys = (account_no, event_id(lower), event_id(upper), PAGES_PER_STEP * PAGE)
    found_ids = {event_id for event_id, _ in found.events}
    stored = cursor.execute(states_statement(triggers), keys).fetchall()
    return {id_ for event_id, state in stored if (id_ := bytes(event_id)) in found_ids and not is_erased(bytes(state))}


def count(connection: StoreConnection, loop_no: int, since_ms: int, until_ms: int) -> tuple[int, bool]:
    """The number of events that the loop missed in a period, and whether it is an estimate."""
    history = LoopHistory.read(connection, loop_no)
    ends_s = time.monotonic() + COUNTING_S
    number, after = 0, bytes(16)
    while number <= MAX_COUNTED and time.monotonic() < ends_s:
        missed, after = _page(connection, history, since_ms, until_ms, after, PAGE)
        if missed is None:
            return number, False
        number += len(missed)
    return number + _estimate(connection, history, since_ms, until_ms, after), True


def _estimate(connection: StoreConnection, history: LoopHistory, since_ms: int, until_ms: int, after: bytes) -> int:
    """About how many events after a position were missed: those that arrived while the loop was disabled."""
    event_id, number = connection.dialect.event_id, 0
    for outage in history.outages:
        lower = max(id_before(first_event_id(max(outage.began_ms, since_ms))), after)
        upper = first_event_id(min(outage.ended_ms, until_ms))
        types = ", ".join(str(TRIGGER_CODES[name]) for name in history.event_filter.triggers)
        if lower < upper:
            keys = (history.account_no, event_id(lower), event_id(upper))
            number += int(connection.rows(_COUNT.format(types=types), keys)[0][0])
    return number


@lru_cache(maxsize=256)
def keys_statement(triggers: tuple[str, ...]) -> str:
    ranges = [_KEYS.format(type=TRIGGER_CODES[name]) for name in triggers]
    if len(ranges) > 1:
        ranges = [f"{{part}}{keys}{{end {_ORDER}}}" for keys in ranges]
    return f"{' UNION ALL '.join(ranges)} ORDER BY {_ORDER}"


@lru_cache(maxsize=256)
def states_statement(triggers: tuple[str, ...]) -> str:
    """SQL for the next events of these types, with their states."""
    return f"SELECT e.event_id, s.state FROM ({keys_statement(triggers)}) AS e {{join}} {{stored e}}"  # noqa: S608


@lru_cache(maxsize=256)
def events_statement(triggers: tuple[str, ...]) -> str:
    """SQL for the next events of these types, with their states, positions, and whether the loop has a delivery."""
    return _EVENTS.replace("{keys}", keys_statement(triggers))
