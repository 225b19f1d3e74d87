"""What the ledger keeps of who comes in: sessions, tries to sign in, uses of API keys. Operational, so in no event.

Each change is one small write, all or nothing; any of them may be repeated, but that a try counts again.
"""

from __future__ import annotations

from typing import Protocol

from actors.commands.accounts import Account
from actors.compatibility import Crossing


class BeginSession(Crossing, frozen=True, kw_only=True, tag=True):
    """A session begins. `hash` is the SHA-256 of its token."""

    hash: str
    user_id: str


class UseSession(Crossing, frozen=True, kw_only=True, tag=True):
    """The session is being used."""

    hash: str


class EndSession(Crossing, frozen=True, kw_only=True, tag=True):
    """The session is over."""

    hash: str


class EndSessionsOf(Crossing, frozen=True, kw_only=True, tag=True):
    """All sessions of a user are over, but for the one kept."""

    user_id: str
    but: str = ""


class CountTries(Crossing, frozen=True, kw_only=True, tag=True):
    """Somebody tries to sign in: counts for each key, and answers how many milliseconds to wait (0: go ahead).

    A key stands for an address or a user; with it comes how many tries it has in a window of `domain.sessions`.
    """

    limits: dict[str, int]


class ForgiveTries(Crossing, frozen=True, kw_only=True, tag=True):
    """The key's tries so far count no more: the last one was right."""

    key: str


class UseApiKey(Crossing, frozen=True, kw_only=True, tag=True):
    """The API key with this SHA-256 is being used."""

    hash: str


AccessChange = BeginSession | UseSession | EndSession | EndSessionsOf | CountTries | ForgiveTries | UseApiKey


class AccessLedger(Protocol):
    """The writes of sessions, tries and uses."""

    async def change_access(self, change: AccessChange) -> int:
        """Carries the change out. The answer of `CountTries`; 0 of all others.

        Raises:
            StoreUnavailable: retry.
        """
        ...


class UserRow(Crossing, frozen=True, kw_only=True):
    """A user's read model."""

    id: str
    account: Account
    email: str
    password_hash: str
    joined_at_ms: int


class SessionRow(Crossing, frozen=True, kw_only=True):
    """A session whose user may sign in. Whether it is over is `domain.sessions`'s to say."""

    user: UserRow
    began_at_ms: int
    used_at_ms: int


class ApiKeyRow(Crossing, frozen=True, kw_only=True):
    """An API key that opens its account."""

    hash: str
    name: str
    issued_at_ms: int
    used_at_ms: int | None


class AccessReader(Protocol):
    """What the service reads of it. Raises `StoreUnavailable` when it cannot."""

    def has_users(self) -> bool: ...
    def user(self, user_id: str) -> UserRow | None: ...
    def user_by_email(self, email: str) -> UserRow | None:
        """`email` in whatever case."""
        ...

    def users(self, account_no: int | None, limit: int) -> list[UserRow]:
        """Of an account, or of all, by their e-mail addresses."""
        ...

    def session(self, hash_: str) -> SessionRow | None: ...
    def account_by_id(self, account_id: str) -> Account | None: ...
    def api_keys(self, account_no: int, limit: int) -> list[ApiKeyRow]:
        """The account's keys, newest first."""
        ...

    def api_key_used_ms(self, hash_: str) -> int | None:
        """When the key was used last, as far as it was noted."""
        ...
