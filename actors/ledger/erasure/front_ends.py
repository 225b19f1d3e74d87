"""Rows of front ends' part in erasures: what each has confirmed, and what holds it up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.port import ConfirmFrontEnd, FrontEndProblem

_FIND: Final = "SELECT no, requested_at_ms, outside FROM erasures WHERE id = $1"
_CONFIRM: Final = "INSERT INTO erasure_front_ends (erasure_no, front_end) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_OUTSIDE: Final = "UPDATE erasures SET outside = $2 WHERE no = $1"
_SOLVED: Final = "DELETE FROM front_end_problems WHERE front_end = $1"
_PROBLEM: Final = (
    "INSERT INTO front_end_problems (front_end, problem) VALUES ($1, $2)"
    " ON CONFLICT (front_end) DO UPDATE SET problem = excluded.problem"
)


def confirm(cursor: Cursor, wanted: ConfirmFrontEnd) -> None:
    """Records a confirmation, also of erasures that have completed without this front end.

    These confirmations stay, so that a front end that was away for long is asked for what it has missed.
    """
    for each in wanted.confirmed:
        found = cursor.execute(_FIND, (each.id,)).fetchone()
        if found is not None and found[1] == each.requested_at_ms:
            add_outside(cursor, found[0], found[2], wanted.outside)
            cursor.execute(_CONFIRM, (found[0], wanted.front_end))


def note_problem(cursor: Cursor, wanted: FrontEndProblem) -> None:
    """Records what holds a front end up."""
    if wanted.problem:
        cursor.execute(_PROBLEM, (wanted.front_end, wanted.problem))
    else:
        cursor.execute(_SOLVED, (wanted.front_end,))


def add_outside(cursor: Cursor, no: int, known: str, sentences: Sequence[str]) -> None:
    """Adds sentences to those of an erasure, `known` as it is stored."""
    if sentences:
        together = dict.fromkeys([*json.loads(known), *sentences])
        cursor.execute(_OUTSIDE, (no, json.dumps(list(together), ensure_ascii=False)))
