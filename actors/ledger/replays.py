"""Writes of manual retries and replays: make deliveries pending again, in small steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.queries import delivery_index
from actors.ledger.queries.filters import one_of
from actors.ledger.store_connection import Row, StoreConnection
from domain.delivery import ReplayProgress
from domain.errors import Conflict, NotFound
from domain.values import DeliveryState

#: The states of the deliveries that each kind of replay requeues.
STATES: Final[Mapping[str, tuple[DeliveryState, ...]]] = {
    "dead": (DeliveryState.DEAD,),
    "all": (DeliveryState.DELIVERED, DeliveryState.DEAD),
}
#: The columns of `ReplayProgress`, in its order.
PROGRESS: Final = "id, loop_no, state, which, since_ms, until_ms, count, done, created_at_ms"

_FIND: Final = f"SELECT {PROGRESS}, at_created_at_ms, at_id FROM replays WHERE id = $1"  # noqa: S608 - constants only
_IS_RUNNING: Final = "SELECT 1 FROM replays WHERE loop_no = $1 AND state = 'running'"
_START: Final = (
    "INSERT INTO replays (id, loop_no, state, which, since_ms, until_ms, count, created_at_ms, at_created_at_ms)"  # noqa: S608 - constants only
    " SELECT coalesce(max(id), 0) + 1, $1, 'running', $2, $3, $4, $5, $6, $3 FROM replays"
    f" RETURNING {PROGRESS}"
)
# Deliveries may have died since they were counted.
_ADVANCE: Final = (
    "UPDATE replays SET done = done + $2, count = {larger count, done + $2}, state = $3,"  # noqa: S608 - constants only
    f" at_created_at_ms = $4, at_id = $5 WHERE id = $1 RETURNING {PROGRESS}"
)
_CANCEL: Final = "UPDATE replays SET state = 'cancelled' WHERE id = $1 AND state = 'running'"
# If two lanes ran at once, `attempts` lacks those of the slower one: continue after the highest recorded number.
_SO_FAR: Final = "{larger attempts, (SELECT coalesce(max(no), 0) FROM attempts WHERE delivery_id = deliveries.id)}"
REQUEUE: Final = (
    f"UPDATE deliveries SET state = 0, due_at_ms = $1, attempts = {_SO_FAR}, forgiven = {_SO_FAR}"  # noqa: S608 - constants only
    " WHERE id {in $2}"
)


def count(connection: StoreConnection, loop_no: int, which: str, since_ms: int, until_ms: int) -> int:
    """The number of deliveries that such a replay would requeue now.

    Raises:
        InvalidInput: `which` is not a kind of replay.
    """
    states = one_of(STATES, which, "state")
    [(number,)] = connection.rows(delivery_index.count(states), (loop_no, since_ms, until_ms))
    return int(number)


def start(
    cursor: Cursor, loop_no: int, which: str, since_ms: int, until_ms: int, counted: int, now_ms: int
) -> ReplayProgress:
    """Records a running replay, which has not requeued anything yet.

    Raises:
        Conflict: the loop has another running replay.
    """
    if cursor.execute(_IS_RUNNING, (loop_no,)).fetchone():
        raise Conflict("A replay of this feedback loop is running; wait for its end, or cancel it.")
    return _one(cursor.execute(_START, (loop_no, which, since_ms, until_ms, counted, now_ms)))


def advance(cursor: Cursor, replay_id: int, limit: int, now_ms: int) -> ReplayProgress:
    """Requeues the next deliveries of a running replay, oldest first, and records its position.

    The replay never returns to a delivery that it has passed, whatever state that delivery is in now.

    Raises:
        NotFound: there is no such replay.
    """
    progress, at = _find(cursor, replay_id)
    if progress.state != "running":
        return progress
    found = _next(cursor, progress, at, limit)
    _requeue(cursor, [row[0] for row in found], now_ms)
    state = "running" if len(found) == limit else "done"
    delivery_id, created_at_ms = found[-1] if found else (at[1], at[0])
    return _one(cursor.execute(_ADVANCE, (replay_id, len(found), state, created_at_ms, delivery_id)))


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
    """
    if not _requeue(cursor, [delivery_id], now_ms):
        raise NotFound(f"there is no delivery dlv_{delivery_id}")


def next_statement(which: str) -> str:
    """SQL for the ids and creation times of the next deliveries that such a replay requeues."""
    return delivery_index.oldest_first("id, created_at_ms", STATES[which])


def _next(cursor: Cursor, progress: ReplayProgress, at: tuple[int, int], limit: int) -> list[Row]:
    part = delivery_index.IndexRange(progress.loop_no, at[0], progress.until_ms, *at, limit)
    return cursor.execute(next_statement(progress.which), part).fetchall()


def _requeue(cursor: Cursor, delivery_ids: Sequence[int], now_ms: int) -> int:
    return cursor.execute(REQUEUE, (now_ms, cursor.dialect.many(delivery_ids))).rowcount


def _find(cursor: Cursor, replay_id: int) -> tuple[ReplayProgress, tuple[int, int]]:
    """The replay, and the creation time and id of the last delivery that it requeued."""
    found = cursor.execute(_FIND, (replay_id,)).fetchone()
    if found is None:
        raise NotFound(f"there is no replay rpl_{replay_id}")
    return ReplayProgress(*found[:-2]), found[-2:]


def _one(answered: Cursor) -> ReplayProgress:
    [row] = answered.fetchall()  # read to the end, which completes the statement
    return ReplayProgress(*row)
