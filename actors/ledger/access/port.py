"""Port for sessions, sign-in attempts and API key uses. They are operational data, so no events record them.

Each change is one small write, all or nothing. Writes are idempotent, except that a repeated sign-in attempt counts
again.
"""

from __future__ import annotations

from typing import Protocol

from actors.commands.accounts import Account
from actors.compatibility import WireStruct


class BeginSession(WireStruct, frozen=True, kw_only=True, tag=True):
    """Starts a session. `hash` is the SHA-256 of its token."""

    hash: str
    user_id: str


class UseSession(WireStruct, frozen=True, kw_only=True, tag=True):
    """Records that the session is used now."""

    hash: str


class EndSession(WireStruct, frozen=True, kw_only=True, tag=True):
    """Ends a session."""

    hash: str


class EndSessionsOf(WireStruct, frozen=True, kw_only=True, tag=True):
    """Ends all sessions of a user, except the one with the hash `but`."""

    user_id: str
    but: str = ""


class CountTries(WireStruct, frozen=True, kw_only=True, tag=True):
    """Counts a sign-in attempt for each key. The answer is the milliseconds to wait before it may proceed (0: none).

    A key stands for an address or a user; its value is the number of attempts allowed per window of `domain.sessions`.
    """

    limits: dict[str, int]


class ForgiveTries(WireStruct, frozen=True, kw_only=True, tag=True):
    """Resets the attempts of a key after a successful sign-in."""

    key: str


class UseApiKey(WireStruct, frozen=True, kw_only=True, tag=True):
    """Records that the API key with this SHA-256 is used now."""

    hash: str


AccessChange = BeginSession | UseSession | EndSession | EndSessionsOf | CountTries | ForgiveTries | UseApiKey


class AccessLedger(Protocol):
    """Writes of sessions, sign-in attempts and API key uses."""

    async def change_access(self, change: AccessChange) -> int:
        """Applies a change. Returns the answer of `CountTries`, and 0 for all other changes.

        Raises:
            StoreUnavailable: retry.
        """
        ...


class UserRow(WireStruct, frozen=True, kw_only=True):
    """A user's read model."""

    id: str
    account: Account
    email: str
    password_hash: str
    joined_at_ms: int


class SessionRow(WireStruct, frozen=True, kw_only=True):
    """A session of a user who may sign in. `domain.sessions` decides whether it has expired."""

    user: UserRow
    began_at_ms: int
    used_at_ms: int


class ApiKeyRow(WireStruct, frozen=True, kw_only=True):
    """An API key of an account."""

    hash: str
    name: str
    issued_at_ms: int
    used_at_ms: int | None
