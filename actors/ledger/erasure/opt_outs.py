"""Opt-outs that an erasure keeps: that a person had unsubscribed, by the digest of the address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.port import NoteOptOuts
from domain.erasure import ALL_ACCOUNTS

_KEEP: Final = (
    "INSERT INTO opt_outs (account_no, digest, opted_out_at_ms) VALUES ($1, $2, $3)"
    " ON CONFLICT (account_no, digest) DO UPDATE SET opted_out_at_ms = CASE"
    " WHEN excluded.opted_out_at_ms < opt_outs.opted_out_at_ms THEN excluded.opted_out_at_ms"
    " ELSE opt_outs.opted_out_at_ms END"
)
_ERASURES_OF: Final = (
    "SELECT m.account_no, e.digest FROM messages AS m"
    " {join} erasure_keys AS k ON k.message_key = m.key {join} erasures AS e ON e.no = k.erasure_no"
    " WHERE m.key = $1 AND e.keep_opt_out = 1"
)
_FORGET: Final = "DELETE FROM opt_outs WHERE account_no = $1 AND digest = $2"
_FORGET_ALL: Final = "DELETE FROM opt_outs WHERE digest = $1"


def keep(cursor: Cursor, opt_outs: Sequence[tuple[int, bytes, int]]) -> None:
    """Keeps opt-outs, given by account number, digest of the person, and time; the earliest time counts."""
    if opt_outs:
        cursor.executemany(_KEEP, opt_outs)


def note(cursor: Cursor, wanted: NoteOptOuts) -> None:
    """Keeps the opt-outs of messages whose erasure is running and keeps them."""
    for key, at_ms in wanted.opt_outs:
        keep(cursor, [(no, bytes(digest), at_ms) for no, digest in cursor.execute(_ERASURES_OF, (key,)).fetchall()])


def forget(cursor: Cursor, account_no: int, digest: bytes) -> None:
    """Forgets what an earlier erasure of the person has kept."""
    if account_no == ALL_ACCOUNTS:
        cursor.execute(_FORGET_ALL, (digest,))
    else:
        cursor.execute(_FORGET, (account_no, digest))
