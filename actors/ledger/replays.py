"""Gives deliveries back to their lanes: one by hand, or a replay's, a few at a time. What the ledger writes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.queries import delivery_index
from actors.ledger.store_connection import Row, StoreConnection
from domain.delivery import ReplayProgress
from domain.errors import Conflict, InvalidInput, NotFound
from domain.values import DeliveryState

#: The deliveries that each kind of replay takes, by state.
STATES: Final[Mapping[str, tuple[DeliveryState, ...]]] = {
    "dead": (DeliveryState.DEAD,),
    "all": (DeliveryState.DELIVERED, DeliveryState.DEAD),
}
#: In the order of `ReplayProgress`.
PROGRESS: Final = "id, loop_no, state, which, since_ms, until_ms, count, done, created_at_ms"

_FIND: Final = f"SELECT {PROGRESS}, at_created_at_ms, at_id FROM replays WHERE id = $1"  # noqa: S608 - no value is in it
_IS_RUNNING: Final = "SELECT 1 FROM replays WHERE loop_no = $1 AND state = 'running'"
_START: Final = (
    "INSERT INTO replays (id, loop_no, state, which, since_ms, until_ms, count, created_at_ms, at_created_at_ms)"  # noqa: S608 - no value is in it
    " SELECT coalesce(max(id), 0) + 1, $1, 'running', $2, $3, $4, $5, $6, $3 FROM replays"
    f" RETURNING {PROGRESS}"
)
# More may have died since they were counted.
_ADVANCE: Final = (
    "UPDATE replays SET done = done + $2, count = {larger count, done + $2}, state = $3,"  # noqa: S608 - no value is in it
    f" at_created_at_ms = $4, at_id = $5 WHERE id = $1 RETURNING {PROGRESS}"
)
_CANCEL: Final = "UPDATE replays SET state = 'cancelled' WHERE id = $1 AND state = 'running'"
# Of two lanes at once the slower one's attempts are in the log alone: numbers go on from there.
_SO_FAR: Final = "{larger attempts, (SELECT coalesce(max(no), 0) FROM attempts WHERE delivery_id = deliveries.id)}"
GIVE_BACK: Final = (
    f"UPDATE deliveries SET state = 0, due_at_ms = $1, attempts = {_SO_FAR}, forgiven = {_SO_FAR}"  # noqa: S608 - no value is in it
    " WHERE id {in $2}"
)


def count(connection: StoreConnection, loop_no: int, which: str, since_ms: int, until_ms: int) -> int:
    """How many deliveries such a replay would take now.

    Raises:
        InvalidInput: there is no such kind of replay.
    """
    if which not in STATES:
        problem = f"must be one of {', '.join(STATES)}"
        raise InvalidInput(f"state {problem}", [("/state", problem)])
    [(number,)] = connection.rows(delivery_index.count(STATES[which]), (loop_no, since_ms, until_ms))
    return int(number)


def start(
    cursor: Cursor, loop_no: int, which: str, since_ms: int, until_ms: int, counted: int, now_ms: int
) -> ReplayProgress:
    """Notes a replay, running; it has given nothing back yet.

    Raises:
        Conflict: another replay of the loop is running.
    """
    if cursor.execute(_IS_RUNNING, (loop_no,)).fetchone():
        raise Conflict("A replay of this feedback loop is running; wait for its end, or cancel it.")
    return _one(cursor.execute(_START, (loop_no, which, since_ms, until_ms, counted, now_ms)))


def advance(cursor: Cursor, replay_id: int, limit: int, now_ms: int) -> ReplayProgress:
    """Gives the next deliveries of a running replay back, oldest first, and notes how far it came.

    What it gave back once it has passed for good, whatever became of it since.

    Raises:
        NotFound: there is no such replay.
    """
    progress, at = _find(cursor, replay_id)
    if progress.state != "running":
        return progress
    found = _next(cursor, progress, at, limit)
    _give_back(cursor, [row[0] for row in found], now_ms)
    state = "running" if len(found) == limit else "done"
    delivery_id, created_at_ms = found[-1] if found else (at[1], at[0])
    return _one(cursor.execute(_ADVANCE, (replay_id, len(found), state, created_at_ms, delivery_id)))


def cancel(cursor: Cursor, replay_id: int) -> ReplayProgress:
    """Ends a running replay; one that has ended stays as it is.

    Raises:
        NotFound: there is no such replay.
    """
    cursor.execute(_CANCEL, (replay_id,))
    return _find(cursor, replay_id)[0]


def retry(cursor: Cursor, delivery_id: int, now_ms: int) -> None:
    """Gives one delivery back, whatever its state.

    Raises:
        NotFound: there is no such delivery.
    """
    if not _give_back(cursor, [delivery_id], now_ms):
        raise NotFound(f"there is no delivery dlv_{delivery_id}")


def next_statement(which: str) -> str:
    """SQL for the ids of the next deliveries that such a replay takes, with their times."""
    return delivery_index.oldest_first("id, created_at_ms", STATES[which])


def _next(cursor: Cursor, progress: ReplayProgress, at: tuple[int, int], limit: int) -> list[Row]:
    part = delivery_index.IndexRange(progress.loop_no, at[0], progress.until_ms, *at, limit)
    return cursor.execute(next_statement(progress.which), part).fetchall()


def _give_back(cursor: Cursor, delivery_ids: Sequence[int], now_ms: int) -> int:
    return cursor.execute(GIVE_BACK, (now_ms, cursor.dialect.many(delivery_ids))).rowcount


def _find(cursor: Cursor, replay_id: int) -> tuple[ReplayProgress, tuple[int, int]]:
    """The replay, and the time and id of the last delivery that it gave back."""
    found = cursor.execute(_FIND, (replay_id,)).fetchone()
    if found is None:
        raise NotFound(f"there is no replay rpl_{replay_id}")
    return ReplayProgress(*found[:-2]), found[-2:]


def _one(answered: Cursor) -> ReplayProgress:
    [row] = answered.fetchall()  # to the end: the statement is done only then
    return ReplayProgress(*row)
