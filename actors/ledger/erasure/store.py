"""Rows of erasures: their start, their progress and their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure import front_ends, opt_outs
from actors.ledger.erasure.port import ConfirmFrontEnd, ErasureChange, FrontEndProblem, NoteOptOuts, RequestErasure
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import ALL_ACCOUNTS, Counts, RunningErasure, StepName

#: The columns of `RunningErasure`, in its order.
RUNNING_COLUMNS: Final = "no, id, account_no, person, digest, requested_at_ms, keep_opt_out, step, position, held_up_by"
_IS_RUNNING: Final = "completed_at_ms IS NULL"
#: The partial index holds only those that run.
RUNNING: Final = f"SELECT {RUNNING_COLUMNS} FROM erasures AS r {{by erasures_running}} WHERE {_IS_RUNNING} ORDER BY no"  # noqa: S608
_SAME: Final = f"SELECT no, id FROM erasures WHERE account_no = $1 AND digest = $2 AND {_IS_RUNNING}"  # noqa: S608
_INSERT: Final = (
    "INSERT INTO erasures (no, id, account_no, digest, person, requested_at_ms, keep_opt_out, step)"
    " SELECT coalesce(max(no), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM erasures"
)
_AGAIN: Final = (
    "UPDATE erasures SET requested_at_ms = {larger requested_at_ms, $2}, keep_opt_out = {larger keep_opt_out, $3},"
    " person = $4, step = $5, position = '', held_up_by = '[]' WHERE no = $1"
)
LATEST_MESSAGE: Final = (
    "SELECT max(created_at_ms) FROM messages {by messages_to_recipient} WHERE account_no = $1 AND person = $2"
)
_FORGET_CONFIRMATIONS: Final = "DELETE FROM erasure_front_ends WHERE erasure_no = $1"
_PROGRESS: Final = (
    "UPDATE erasures SET position = $3, messages = messages + $4, events = events + $5, deliveries = deliveries + $6,"
    " profiles = profiles + $7, mails = mails + $8 WHERE no = $1 AND step = $2"
)
#: Step and position are not reset before, so a position shows that the step has redacted messages.
_HAS_REDACTED: Final = (
    "SELECT 1 FROM erasures WHERE no = $1 AND step IN ('messages', 'late_messages') AND position <> ''"
)
#: Batches that were enriched with an older version of the routing table are refused, and enriched again.
RAISE_FENCE: Final = "UPDATE meta SET value = value + 1 WHERE name = 'routes_version'"
_STEP: Final = (
    "UPDATE erasures SET step = $3, position = '', held_up_by = '[]'"
    " WHERE no = $1 AND step = $2 AND requested_at_ms = $4"
)
_WAITS: Final = "UPDATE erasures SET held_up_by = $3 WHERE no = $1 AND step = $2"
#: The last step clears the store's files, so nothing personal may be written after its start.
_FORGET_PERSON: Final = "UPDATE erasures SET person = '' WHERE no = $1"
_COMPLETE: Final = (
    "UPDATE erasures SET completed_at_ms = $2"
    " WHERE no = $1 AND requested_at_ms = $3 AND completed_at_ms IS NULL AND person = ''"
)
_DROP_KEYS: Final = "DELETE FROM erasure_keys WHERE erasure_no = $1"


def change(cursor: Cursor, wanted: ErasureChange, now_ms: int) -> str:
    """Applies a change; returns the answer of `ErasureLedger.change_erasures`."""
    match wanted:
        case RequestErasure():
            return request(cursor, wanted, now_ms)
        case ConfirmFrontEnd():
            front_ends.confirm(cursor, wanted)
        case FrontEndProblem():
            front_ends.note_problem(cursor, wanted)
        case NoteOptOuts():
            opt_outs.note(cursor, wanted)
    return ""


def request(cursor: Cursor, wanted: RequestErasure, now_ms: int) -> str:
    """Starts an erasure, or starts the running one for the same person again. Returns its id.

    It covers every message that has been registered by now, whatever the clocks of those who registered them say.
    """
    until_ms = wanted.until_ms
    if until_ms is None:
        until_ms = max([now_ms, *_latest_messages(cursor, wanted)])
    same = cursor.execute(_SAME, (wanted.account_no, wanted.digest)).fetchone()
    if same is not None:
        cursor.execute(_AGAIN, (same[0], until_ms, int(wanted.keep_opt_out), wanted.person, StepName.MESSAGES.value))
        cursor.execute(_FORGET_CONFIRMATIONS, (same[0],))
        cursor.execute(RAISE_FENCE)  # the first run may have redacted messages without
        return str(same[1])
    if not wanted.keep_opt_out:
        opt_outs.forget(cursor, wanted.account_no, wanted.digest)
    facts = (wanted.id, wanted.account_no, wanted.digest, wanted.person, until_ms, int(wanted.keep_opt_out))
    cursor.execute(_INSERT, (*facts, StepName.MESSAGES.value))
    return wanted.id


def _latest_messages(cursor: Cursor, wanted: RequestErasure) -> list[int]:
    accounts = [(wanted.account_no,)]
    if wanted.account_no == ALL_ACCOUNTS:
        accounts = cursor.execute("SELECT no FROM accounts").fetchall()
    found = (cursor.execute(LATEST_MESSAGE, (no, wanted.person)).fetchone() for (no,) in accounts)
    return [row[0] for row in found if row[0] is not None]


def running(connection: StoreConnection) -> list[RunningErasure]:
    """The erasures that have not completed, oldest first."""
    return [running_of(row) for row in connection.rows(RUNNING)]


def running_of(row: Row) -> RunningErasure:
    """The erasure with these columns (`RUNNING_COLUMNS`)."""
    erasure = RunningErasure(*row)
    return erasure._replace(digest=bytes(erasure.digest), keep_opt_out=bool(erasure.keep_opt_out))


def keep_progress(cursor: Cursor, erasure: RunningErasure, position: str, counts: Counts) -> None:
    """Keeps a step's position, and adds its counts; nothing if the erasure has started again or gone on since."""
    cursor.execute(_PROGRESS, (erasure.no, erasure.step, position, *counts))


def note_waits(cursor: Cursor, erasures: Sequence[RunningErasure], held_up_by: str) -> None:
    """Keeps what erasures wait for in their step, for those who look."""
    cursor.executemany(_WAITS, [(erasure.no, erasure.step, held_up_by) for erasure in erasures])


def go_on(cursor: Cursor, erasures: Sequence[RunningErasure], step: StepName) -> list[RunningErasure]:
    """Goes on with another step. Leaves out erasures that have started again since.

    At the last step the person and the work list are forgotten. After messages were redacted, the version of the
    routing table grows, once for all: from this commit on, nothing more is recorded about them, whatever was in flight.
    """
    moved = []
    if any(cursor.execute(_HAS_REDACTED, (erasure.no,)).fetchone() for erasure in erasures):
        cursor.execute(RAISE_FENCE)
    for erasure in erasures:
        params = (erasure.no, erasure.step, step.value, erasure.requested_at_ms)
        if cursor.execute(_STEP, params).rowcount == 1:
            moved.append(erasure._replace(step=step.value, position="", held_up_by="[]"))
            if step is StepName.BYTES:
                for sql in (_FORGET_PERSON, _DROP_KEYS):
                    cursor.execute(sql, (erasure.no,))
    return moved


def complete(cursor: Cursor, erasures: Sequence[RunningErasure], now_ms: int) -> list[RunningErasure]:
    """Completes erasures. Leaves out those that have started again since."""
    return [
        erasure
        for erasure in erasures
        if cursor.execute(_COMPLETE, (erasure.no, now_ms, erasure.requested_at_ms)).rowcount == 1
    ]
