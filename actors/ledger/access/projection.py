"""Projection of users and API keys into their read models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from actors.ledger.dialect import Cursor
from domain.account import Account
from domain.user import User
from domain.values import id_text

_KEYS_CHANGED: Final = "UPDATE meta SET value = value + 1 WHERE name = 'keys_version'"


def _api_key_issued(cursor: Cursor, event: Account.ApiKeyIssued) -> None:
    cursor.execute(
        "INSERT INTO api_keys (hash, account_no, issued_at_ms, name) SELECT $1, no, $2, $3 FROM accounts WHERE id = $4",
        (event.key_hash, event.at_ms, event.name, id_text("acc", event.originator_id)),
    )
    cursor.execute("DELETE FROM revoked_api_keys WHERE hash = $1", (event.key_hash,))
    cursor.execute(_KEYS_CHANGED)


def _api_key_revoked(cursor: Cursor, event: Account.ApiKeyRevoked) -> None:
    cursor.execute("DELETE FROM api_keys WHERE hash = $1", (event.key_hash,))
    cursor.execute("DELETE FROM api_key_uses WHERE hash = $1", (event.key_hash,))
    cursor.execute(
        "INSERT INTO revoked_api_keys (hash, account_no, revoked_at_ms) SELECT $1, no, $2 FROM accounts WHERE id = $3",
        (event.key_hash, event.at_ms, id_text("acc", event.originator_id)),
    )
    cursor.execute(_KEYS_CHANGED)


def _user_joined(cursor: Cursor, event: User.Joined) -> None:
    cursor.execute(
        "INSERT INTO users (id, account_no, email, password_hash, joined_at_ms)"
        " SELECT $1, no, $2, $3, $4 FROM accounts WHERE id = $5",
        (id_text("usr", event.originator_id), event.email, event.password_hash, event.at_ms, event.account_id),
    )


def _password_changed(cursor: Cursor, event: User.PasswordChanged) -> None:
    cursor.execute(
        "UPDATE users SET password_hash = $1 WHERE id = $2", (event.password_hash, id_text("usr", event.originator_id))
    )


def _user_left(cursor: Cursor, event: User.Left) -> None:
    user_id = id_text("usr", event.originator_id)
    cursor.execute("DELETE FROM users WHERE id = $1", (user_id,))
    cursor.execute("DELETE FROM sessions WHERE user_id = $1", (user_id,))


ACCESS_HANDLERS: Final[dict[str, Callable[[Cursor, Any], None]]] = {
    Account.ApiKeyIssued.TOPIC: _api_key_issued,
    Account.ApiKeyRevoked.TOPIC: _api_key_revoked,
    User.Joined.TOPIC: _user_joined,
    User.PasswordChanged.TOPIC: _password_changed,
    User.Left.TOPIC: _user_left,
}
