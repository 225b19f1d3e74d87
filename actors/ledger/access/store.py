"""Writes of sessions, sign-in attempts and API key uses."""

from __future__ import annotations

from typing import Final

from actors.ledger.access import port as a
from actors.ledger.dialect import Cursor
from domain.sessions import ABSOLUTE_MS, IDLE_MS, WINDOW_MS, Tries

#: Expired rows removed with each addition: more than it adds, so they cannot pile up.
_SWEEP: Final = 10

OLD_SESSIONS: Final = "SELECT hash FROM sessions WHERE used_at_ms <= $1 ORDER BY used_at_ms LIMIT $2"
OLD_TRIES: Final = "SELECT key FROM sign_in_tries WHERE since_ms <= $1 ORDER BY since_ms LIMIT $2"
USE_SESSION: Final = "UPDATE sessions SET used_at_ms = {larger used_at_ms, $1} WHERE hash = $2"
_SET_TRIES: Final = (
    "INSERT INTO sign_in_tries (key, count, since_ms) VALUES ($1, $2, $3)"
    " ON CONFLICT (key) DO UPDATE SET count = excluded.count, since_ms = excluded.since_ms"
)
OVERDUE_SESSIONS: Final = "DELETE FROM sessions WHERE user_id = $1 AND began_at_ms <= $2"
OTHER_SESSIONS: Final = "DELETE FROM sessions WHERE user_id = $1 AND hash <> $2"


def change(cursor: Cursor, wanted: a.AccessChange, now_ms: int) -> int:
    """Applies a change; returns the answer of `AccessLedger.change_access`."""
    match wanted:
        case a.BeginSession():
            _begin_session(cursor, wanted, now_ms)
        case a.UseSession():
            cursor.execute(USE_SESSION, (now_ms, wanted.hash))
        case a.EndSession():
            cursor.execute("DELETE FROM sessions WHERE hash = $1", (wanted.hash,))
        case a.EndSessionsOf():
            cursor.execute(OTHER_SESSIONS, (wanted.user_id, wanted.but))
        case a.CountTries():
            return _count_tries(cursor, wanted, now_ms)
        case a.ForgiveTries():
            cursor.execute("DELETE FROM sign_in_tries WHERE key = $1", (wanted.key,))
        case a.UseApiKey():
            cursor.execute(
                "INSERT INTO api_key_uses (hash, used_at_ms) SELECT hash, $1 FROM api_keys WHERE hash = $2"
                " ON CONFLICT (hash) DO UPDATE SET"
                " used_at_ms = {larger api_key_uses.used_at_ms, excluded.used_at_ms}",
                (now_ms, wanted.hash),
            )
    return 0


def _begin_session(cursor: Cursor, wanted: a.BeginSession, now_ms: int) -> None:
    cursor.execute(f"DELETE FROM sessions WHERE hash IN ({OLD_SESSIONS})", (now_ms - IDLE_MS, _SWEEP))  # noqa: S608
    cursor.execute(OVERDUE_SESSIONS, (wanted.user_id, now_ms - ABSOLUTE_MS))
    cursor.execute(
        "INSERT INTO sessions (hash, user_id, began_at_ms, used_at_ms) VALUES ($1, $2, $3, $3)"
        " ON CONFLICT (hash) DO NOTHING",  # a repeated call
        (wanted.hash, wanted.user_id, now_ms),
    )


def _count_tries(cursor: Cursor, wanted: a.CountTries, now_ms: int) -> int:
    cursor.execute(f"DELETE FROM sign_in_tries WHERE key IN ({OLD_TRIES})", (now_ms - WINDOW_MS, _SWEEP))  # noqa: S608
    wait_ms = 0
    for key, limit in wanted.limits.items():
        row = cursor.execute("SELECT count, since_ms FROM sign_in_tries WHERE key = $1", (key,)).fetchone()
        tries = Tries(*row or (0, now_ms)).after_one_more(now_ms)
        cursor.execute(_SET_TRIES, (key, *tries))
        wait_ms = max(wait_ms, tries.wait_ms(limit, now_ms))
    return wait_ms
