"""Repetition of erasures after a restore: those that the restored store lacks start again, for older data only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.installation.erasure_file import ErasureLine
from actors.ledger.dialect import Cursor
from domain.erasure import ALL_ACCOUNTS, StepName

#: The account number of an erasure whose account the store does not have: there is nothing to erase.
NO_ACCOUNT: Final = -1

_KNOWN: Final = "SELECT no, requested_at_ms FROM erasures WHERE id = $1"
_ACCOUNT: Final = "SELECT no FROM accounts WHERE id = $1"
_RUNNING: Final = (
    "SELECT no, requested_at_ms FROM erasures WHERE account_no = $1 AND digest = $2 AND completed_at_ms IS NULL"
)
_INSERT: Final = (
    "INSERT INTO erasures"
    " (no, id, account_no, digest, person, requested_at_ms, keep_opt_out, is_repeat, step, completed_at_ms)"
    " SELECT coalesce(max(no), 0) + 1, $1, $2, $3, '', $4, $5, 1, $6, $7 FROM erasures"
)
_AGAIN: Final = (
    "UPDATE erasures SET requested_at_ms = $2, completed_at_ms = NULL, is_repeat = 1, step = $3, position = ''"
    " WHERE no = $1"
)
_COVERS: Final = "UPDATE erasures SET requested_at_ms = $2 WHERE no = $1"
_FORGET_CONFIRMATIONS: Final = "DELETE FROM erasure_front_ends WHERE erasure_no = $1"


def repeat(cursor: Cursor, erasures: Sequence[ErasureLine], now_ms: int) -> int:
    """Starts those of these erasures that the store does not have. Returns their number.

    Of several erasures of a person in an account, one runs and covers all; the others count as completed.
    """
    return sum(_repeat(cursor, erasure, now_ms) for erasure in erasures)


def _repeat(cursor: Cursor, erasure: ErasureLine, now_ms: int) -> bool:
    known = cursor.execute(_KNOWN, (erasure.id,)).fetchone()
    if known is not None and known[1] >= erasure.until_ms:
        return False
    account_no, digest = _account_no(cursor, erasure), bytes.fromhex(erasure.digest)
    running = cursor.execute(_RUNNING, (account_no, digest)).fetchone()
    covering = running or known
    if covering is not None and covering[1] < erasure.until_ms:
        cursor.execute(_AGAIN, (covering[0], erasure.until_ms, StepName.PEOPLE.value))
        cursor.execute(_FORGET_CONFIRMATIONS, (covering[0],))
    if known is None:
        is_done = running is not None or account_no == NO_ACCOUNT
        facts = (erasure.id, account_no, digest, erasure.until_ms, int(erasure.keep_opt_out), StepName.PEOPLE.value)
        cursor.execute(_INSERT, (*facts, now_ms if is_done else None))
    else:
        cursor.execute(_COVERS, (known[0], erasure.until_ms))
    return True


def _account_no(cursor: Cursor, erasure: ErasureLine) -> int:
    if erasure.account is None:
        return ALL_ACCOUNTS
    found = cursor.execute(_ACCOUNT, (erasure.account,)).fetchone()
    return NO_ACCOUNT if found is None else int(found[0])
