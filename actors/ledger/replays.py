"""Writes of manual retries and replays: make deliveries pending again, or of missed events, in small steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from actors.ledger import missed_events
from actors.ledger.dialect import Cursor
from actors.ledger.event_encoding import is_erased
from actors.ledger.missed_events import Found
from actors.ledger.queries import delivery_index
from actors.ledger.queries.filters import one_of
from actors.ledger.store_connection import Row, StoreConnection
from domain.delivery import ReplayProgress
from domain.errors import Erased, NotFound, TemporaryConflict
from domain.values import DeliveryState

#: The states of the deliveries that each kind of replay requeues.
STATES: Final[Mapping[str, tuple[DeliveryState, ...]]] = {
    "dead": (DeliveryState.DEAD,),
    "all": (DeliveryState.DELIVERED, DeliveryState.DEAD),
}
#: The kind of replay that makes deliveries of missed events.
MISSED: Final = "missed"
#: The columns of `ReplayProgress`, in its order.
PROGRESS: Final = "id, loop_no, state, which, since_ms, until_ms, count, done, created_at_ms, is_estimate, at_event"

_FIND: Final = f"SELECT {PROGRESS}, at_created_at_ms, at_id FROM replays WHERE id = $1"  # noqa: S608 - constants only
_IS_RUNNING: Final = "SELECT 1 FROM replays WHERE loop_no = $1 AND state = 'running'"
_START: Final = (
    "INSERT INTO replays"  # noqa: S608 - constants only
    " (id, loop_no, state, which, since_ms, until_ms, count, is_estimate, created_at_ms, at_created_at_ms)"
    " SELECT coalesce(max(id), 0) + 1, $1, 'running', $2, $3, $4, $5, $6, $7, $3 FROM replays"
    f" RETURNING {PROGRESS}"
)
# Deliveries may have died since they were counted; those of erased people, which are left out, were counted too.
_ADVANCE: Final = (
    "UPDATE replays SET done = done + $2, count = {larger count - $6, done + $2}, state = $3,"  # noqa: S608 - constants only
    f" at_created_at_ms = $4, at_id = $5 WHERE id = $1 RETURNING {PROGRESS}"
)
# At the end the number is known.
_ADVANCE_MISSED: Final = (
    "UPDATE replays SET done = done + $2, state = $3, at_event = $4,"  # noqa: S608 - constants only
    " count = CASE WHEN $3 = 'done' THEN done + $2 ELSE {larger count, done + $2} END,"
    " is_estimate = CASE WHEN $3 = 'done' THEN 0 ELSE is_estimate END"
    f" WHERE id = $1 RETURNING {PROGRESS}"
)
_CANCEL: Final = "UPDATE replays SET state = 'cancelled' WHERE id = $1 AND state = 'running'"
# If two lanes ran at once, `attempts` lacks those of the slower one: continue after the highest recorded number.
_SO_FAR: Final = "{larger attempts, (SELECT coalesce(max(no), 0) FROM attempts WHERE delivery_id = deliveries.id)}"
REQUEUE: Final = (
    f"UPDATE deliveries SET state = 0, due_at_ms = $1, attempts = {_SO_FAR}, forgiven = {_SO_FAR}"  # noqa: S608 - constants only
    " WHERE id {in $2} AND state <> 3"
)
STATES_OF: Final = "SELECT d.id, s.state FROM deliveries AS d {join} {stored d} WHERE d.id {in $1}"


def count(connection: StoreConnection, loop_no: int, which: str, since_ms: int, until_ms: int) -> tuple[int, bool]:
    """The number of deliveries that such a replay would requeue or make now, and whether it is an estimate.

    Raises:
        InvalidInput: `which` is not a kind of replay.
    """
    if which == MISSED:
        return missed_events.count(connection, loop_no, since_ms, until_ms)
    states = one_of(STATES, which, "state")
    [(number,)] = connection.rows(delivery_index.count(states), (loop_no, since_ms, until_ms))
    return int(number), False


def start(
    cursor: Cursor, loop_no: int, which: str, since_ms: int, until_ms: int, counted: tuple[int, bool], now_ms: int
) -> ReplayProgress:
    """Records a running replay, which has not requeued anything yet.

    Raises:
        TemporaryConflict: the loop has another running replay.
    """
    if cursor.execute(_IS_RUNNING, (loop_no,)).fetchone():
        raise TemporaryConflict("A replay of this feedback loop is running; wait for its end, or cancel it.")
    return _one(cursor.execute(_START, (loop_no, which, since_ms, until_ms, counted[0], int(counted[1]), now_ms)))


def find_missed(connection: StoreConnection, replay_id: int, limit: int) -> Found | None:
    """The next missed events of a running replay; None if it is of another kind, or has ended."""
    found = connection.row(_FIND, (replay_id,))
    if found is None:
        return None
    progress = progress_of(found[:-2])
    is_wanted = progress.which == MISSED and progress.state == "running"
    return missed_events.find(connection, progress, limit) if is_wanted else None


def advance(cursor: Cursor, replay_id: int, limit: int, now_ms: int, missed: Found | None) -> ReplayProgress:
    """Requeues the next deliveries of a running replay, oldest first, and records its position.

    `missed`: what `find_missed` returned, if the replay is of missed events. The replay never returns to a delivery
    that it has passed, whatever state that delivery is in now.

    Raises:
        NotFound: there is no such replay.
    """
    progress, at = _find(cursor, replay_id)
    if progress.state != "running":
        return progress
    if progress.which == MISSED:
        if missed is None or missed.after != progress.at_event:  # another step was faster
            return progress
        made = missed_events.record(cursor, progress, missed, now_ms)
        state = "done" if missed.is_end else "running"
        return _one(cursor.execute(_ADVANCE_MISSED, (replay_id, made, state, missed.last)))
    found = _next(cursor, progress, at, limit)
    ids = [row[0] for row in found]
    erased = _erased(cursor, ids)
    requeued = _requeue(cursor, [id_ for id_ in ids if id_ not in erased], now_ms)
    state = "running" if len(found) == limit else "done"
    delivery_id, created_at_ms = found[-1] if found else (at[1], at[0])
    return _one(cursor.execute(_ADVANCE, (replay_id, requeued, state, created_at_ms, delivery_id, len(erased))))


def cancel(cursor: Cursor, replay_id: int) -> ReplayProgress:
    """Cancels a replay if it is running.

    Raises:
        NotFound: there is no such replay.
    """
    cursor.execute(_CANCEL, (replay_id,))
    return _find(cursor, replay_id)[0]


def retry(cursor: Cursor, delivery_id: int, now_ms: int) -> None:
    """Requeues one delivery, whatever its state.

    Raises:
        NotFound: there is no such delivery.
        Erased: it is about an erased person.
    """
    if _erased(cursor, [delivery_id]):
        raise Erased(f"delivery dlv_{delivery_id} is about an erased person, so it is not sent again")
    if not _requeue(cursor, [delivery_id], now_ms):
        raise NotFound(f"there is no delivery dlv_{delivery_id}")


def next_statement(which: str) -> str:
    """SQL for the ids and creation times of the next deliveries that such a replay requeues."""
    return delivery_index.oldest_first("id, created_at_ms", STATES[which])


def _next(cursor: Cursor, progress: ReplayProgress, at: tuple[int, int], limit: int) -> list[Row]:
    part = delivery_index.IndexRange(progress.loop_no, at[0], progress.until_ms, *at, limit)
    return cursor.execute(next_statement(progress.which), part).fetchall()


def _erased(cursor: Cursor, delivery_ids: Sequence[int]) -> set[int]:
    """Those of the deliveries whose event is about an erased person."""
    rows = cursor.execute(STATES_OF, (cursor.dialect.many(delivery_ids),)).fetchall() if delivery_ids else []
    return {id_ for id_, state in rows if is_erased(bytes(state))}


def _requeue(cursor: Cursor, delivery_ids: Sequence[int], now_ms: int) -> int:
    return cursor.execute(REQUEUE, (now_ms, cursor.dialect.many(delivery_ids))).rowcount


def _find(cursor: Cursor, replay_id: int) -> tuple[ReplayProgress, tuple[int, int]]:
    """The replay, and the creation time and id of the last delivery that it requeued."""
    found = cursor.execute(_FIND, (replay_id,)).fetchone()
    if found is None:
        raise NotFound(f"there is no replay rpl_{replay_id}")
    return progress_of(found[:-2]), found[-2:]


def _one(answered: Cursor) -> ReplayProgress:
    [row] = answered.fetchall()  # read to the end, which completes the statement
    return progress_of(row)


def progress_of(row: Row) -> ReplayProgress:
    """The replay with these columns (`PROGRESS`)."""
    progress = ReplayProgress(*row)
    return progress._replace(is_estimate=bool(progress.is_estimate))
