"""Queries for accounts, users, sessions and API keys."""

from __future__ import annotations

from typing import Final

from actors.commands.accounts import Account
from actors.ledger.access.port import ApiKeyRow, SessionRow, UserRow
from actors.ledger.store_connection import Row, StoreConnection, struct_of

_USER: Final = "u.id, u.email, u.password_hash, u.joined_at_ms, a.no, a.id, a.name"
_USERS: Final = f"SELECT {_USER} FROM users AS u {{join}} accounts AS a ON a.no = u.account_no"  # noqa: S608
ACCOUNT_BY_KEY: Final = (
    "SELECT a.no, a.id, a.name FROM api_keys AS k JOIN accounts AS a ON a.no = k.account_no WHERE k.hash = $1"
)
HAS_USERS: Final = "SELECT 1 FROM users LIMIT 1"
USER: Final = f"{_USERS} WHERE u.id = $1"
USER_BY_EMAIL: Final = f"{_USERS} WHERE u.email = $1"
USERS_OF_ACCOUNT: Final = f"{_USERS} WHERE u.account_no = $1 ORDER BY u.email LIMIT $2"
ALL_USERS: Final = f"{_USERS} ORDER BY u.email LIMIT $1"
SESSION: Final = (
    f"SELECT s.began_at_ms, s.used_at_ms, {_USER} FROM sessions AS s"  # noqa: S608 - constants only
    " {join} users AS u ON u.id = s.user_id {join} accounts AS a ON a.no = u.account_no WHERE s.hash = $1"
)
ACCOUNTS: Final = "SELECT no, id, name FROM accounts WHERE no > $1 ORDER BY no LIMIT $2"
ACCOUNT: Final = "SELECT no, id, name FROM accounts WHERE id = $1"
API_KEYS: Final = (
    "SELECT k.hash, k.name, k.issued_at_ms, u.used_at_ms FROM api_keys AS k LEFT JOIN api_key_uses AS u"
    " ON u.hash = k.hash WHERE k.account_no = $1 ORDER BY k.issued_at_ms DESC LIMIT $2"
)
API_KEY_USE: Final = "SELECT used_at_ms FROM api_key_uses WHERE hash = $1"


class AccessQueries(StoreConnection):
    """The part of `LedgerReader` that reads accounts, users, sessions and API keys."""

    def account_by_key(self, key_hash: str) -> Account | None:
        """The account that an API key belongs to, by the key's SHA-256 (hexadecimal)."""
        found = self.row(ACCOUNT_BY_KEY, (key_hash,))
        return struct_of(Account, found) if found else None

    def count_passwords_of_key(self, key_id: int) -> int:
        """How many users' passwords are hashed with an installation key."""
        (count,) = self.rows("SELECT count(*) FROM users WHERE password_hash LIKE $1", (f"{key_id}:%",))[0]
        return int(count)

    def accounts(self, after_no: int, limit: int) -> list[Account]:
        """Accounts with greater numbers than `after_no`, oldest first."""
        return [struct_of(Account, row) for row in self.rows(ACCOUNTS, (after_no, limit))]

    def has_users(self) -> bool:
        """Whether there is any user."""
        return self.row(HAS_USERS) is not None

    def user(self, user_id: str) -> UserRow | None:
        """A user by id; None if there is none, or the user was removed."""
        found = self.row(USER, (user_id,))
        return _user(found) if found else None

    def user_by_email(self, email: str) -> UserRow | None:
        """The user with this address, in any case."""
        found = self.row(USER_BY_EMAIL, (email.lower(),))
        return _user(found) if found else None

    def users(self, account_no: int | None, limit: int) -> list[UserRow]:
        """Users of one account, or of all accounts if it is None, ordered by e-mail address."""
        if account_no is None:
            return [_user(row) for row in self.rows(ALL_USERS, (limit,))]
        return [_user(row) for row in self.rows(USERS_OF_ACCOUNT, (account_no, limit))]

    def session(self, hash_: str) -> SessionRow | None:
        """The session, if it was not ended and its user was not removed."""
        found = self.row(SESSION, (hash_,))
        return SessionRow(user=_user(found[2:]), began_at_ms=found[0], used_at_ms=found[1]) if found else None

    def account_by_id(self, account_id: str) -> Account | None:
        """An account by its id."""
        found = self.row(ACCOUNT, (account_id,))
        return struct_of(Account, found) if found else None

    def api_keys(self, account_no: int, limit: int) -> list[ApiKeyRow]:
        """The account's keys, newest first."""
        return [struct_of(ApiKeyRow, row) for row in self.rows(API_KEYS, (account_no, limit))]

    def api_key_used_ms(self, hash_: str) -> int | None:
        """The last recorded use of the key, Unix milliseconds."""
        found = self.row(API_KEY_USE, (hash_,))
        return int(found[0]) if found else None


def _user(row: Row) -> UserRow:
    id_, email, password_hash, joined_at_ms, *account = row
    return UserRow(
        id=id_,
        account=struct_of(Account, account),
        email=email,
        password_hash=password_hash,
        joined_at_ms=joined_at_ms,
    )
