"""Idempotency keys: the requests in progress, and the answers of finished ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.dialect import Cursor
from domain.errors import IdempotencyConflict

#: Milliseconds for which the answer of a request is kept.
KEPT_MS: Final = 24 * 3600 * 1000
#: Expired rows removed with each claim: more than a claim adds, so they cannot pile up, but few enough to be quick.
_SWEEP: Final = 10
_SWEPT: Final = (
    "DELETE FROM idempotency WHERE (scope, key) IN"
    " (SELECT scope, key FROM idempotency WHERE kept_until_ms <= $1 ORDER BY kept_until_ms LIMIT $2)"
    " RETURNING scope, key"
)
_KEEP_MESSAGE: Final = "INSERT INTO idempotency_messages (scope, key, message_key) VALUES ($1, $2, $3)"
DROP_MESSAGES: Final = "DELETE FROM idempotency_messages WHERE scope = $1 AND key = $2"
_ERASED: Final = "SELECT 1 FROM messages WHERE key {in $1} AND erased_at_ms IS NOT NULL LIMIT 1"
_CLAIMED: Final = "scope = $1 AND key = $2 AND fingerprint = $3 AND status IS NULL"


def claim(cursor: Cursor, command: ClaimKey, now_ms: int) -> StoredAnswer | None:
    """Claims the key for a request. Returns None if the request may proceed, or the stored answer if it is a repeat.

    Raises:
        IdempotencyConflict: the request is in progress, or the key belongs to another request.
    """
    if swept := cursor.execute(_SWEPT, (now_ms, _SWEEP)).fetchall():
        cursor.executemany(DROP_MESSAGES, swept)
    found = cursor.execute(
        "SELECT fingerprint, leased_until_ms, kept_until_ms, status, content_type, body"
        " FROM idempotency WHERE scope = $1 AND key = $2",
        (command.scope, command.key),
    ).fetchone()
    if found is None:
        _take(cursor, command, now_ms)
        return None
    fingerprint, leased_until_ms, kept_until_ms, status, content_type, body = found
    free_from_ms = leased_until_ms if status is None else kept_until_ms
    if free_from_ms <= now_ms:
        cursor.execute(DROP_MESSAGES, (command.scope, command.key))
        _take(cursor, command, now_ms)
        return None
    if fingerprint != command.fingerprint:
        raise IdempotencyConflict(
            "The Idempotency-Key was used for another request; use a new key for each request.", False
        )
    if status is None:
        raise IdempotencyConflict("A request with this Idempotency-Key is in progress; repeat it in a moment.", True)
    return StoredAnswer(status=status, content_type=content_type, body=body)


def _take(cursor: Cursor, command: ClaimKey, now_ms: int) -> None:
    cursor.execute(
        "INSERT INTO idempotency (scope, key, fingerprint, leased_until_ms, kept_until_ms) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint,"
        " status = NULL, content_type = NULL, body = NULL,"
        " leased_until_ms = excluded.leased_until_ms, kept_until_ms = excluded.kept_until_ms",
        (command.scope, command.key, command.fingerprint, now_ms + command.lease_s * 1000, now_ms + KEPT_MS),
    )


def keep(cursor: Cursor, command: KeepAnswer, now_ms: int) -> None:
    """Stores the answer of a claimed key, or frees the key if there is none, or none that may be kept.

    Does nothing if the key has an answer, is not claimed, or has since been claimed by another request.
    """
    claim = (command.scope, command.key, command.fingerprint)
    if command.answer is None or _is_erased(cursor, command.message_keys):
        cursor.execute(f"DELETE FROM idempotency WHERE {_CLAIMED}", claim)  # noqa: S608 - constants only
        return
    answer = command.answer
    kept = cursor.execute(
        f"UPDATE idempotency SET status = $4, content_type = $5, body = $6, kept_until_ms = $7 WHERE {_CLAIMED}",  # noqa: S608
        (*claim, answer.status, answer.content_type, answer.body, now_ms + KEPT_MS),
    ).rowcount
    if kept and command.message_keys:
        keys = dict.fromkeys(command.message_keys)
        cursor.executemany(_KEEP_MESSAGE, [(command.scope, command.key, key) for key in keys])


def _is_erased(cursor: Cursor, message_keys: Sequence[int]) -> bool:
    """Whether one of the messages was erased while the request was carried out."""
    if not message_keys:
        return False
    return cursor.execute(_ERASED, (cursor.dialect.many(message_keys),)).fetchone() is not None
