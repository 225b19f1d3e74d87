"""Commands about users of the dashboard and their sessions."""

from __future__ import annotations

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.compatibility import WireStruct


class User(WireStruct, frozen=True, kw_only=True):
    """A user of the dashboard of an account."""

    id: str
    account: Account
    email: str
    joined_at_ms: int


class SignedIn(WireStruct, frozen=True, kw_only=True):
    """The token of the new session, or None. Then `wait_ms` is the time to wait until the next attempt."""

    token: str | None
    wait_ms: int = 0


class Session(WireStruct, frozen=True, kw_only=True):
    """A session that has not expired, with its user."""

    user: User
    ends_at_ms: int


class IsFirstRun(Command[bool], frozen=True, kw_only=True):
    """Asks whether there is no user yet."""


class CreateUser(Command[User], frozen=True, kw_only=True):
    """Creates a user in an account, or in a new account with this name if `account_id` is None.

    With `is_first`, this is a Conflict if there is a user already; only one of several simultaneous calls succeeds.
    """

    email: str
    password: str
    account_id: str | None = None
    account_name: str = ""
    is_first: bool = False


class ListUsers(Command[list[User]], frozen=True, kw_only=True):
    """Lists the users of an account, or of all accounts if it is None."""

    account: Account | None = None


class RemoveUser(Command[None], frozen=True, kw_only=True):
    """Removes a user of an account, or of any account if it is None. Removing its last user is a Conflict."""

    account: Account | None = None
    user_id: str


class SetPassword(Command[None], frozen=True, kw_only=True):
    """Replaces a user's password and ends all sessions."""

    user_id: str
    password: str


class ChangePassword(Command[bool], frozen=True, kw_only=True):
    """Replaces the user's own password. The answer is False if the old password is wrong.

    Ends all sessions of the user except the calling one.
    """

    account: Account
    user_id: str
    old: str
    new: str
    token_hash: str


class SignIn(Command[SignedIn], frozen=True, kw_only=True):
    """Starts a session. Attempts are counted by address and by user, for all front ends together."""

    email: str
    password: str
    #: The address of the client.
    address: str


class FindSession(Command[Session | None], frozen=True, kw_only=True):
    """Finds the session whose token has this SHA-256 (hex). Counts as use, so the session does not expire as idle."""

    token_hash: str


class SignOut(Command[None], frozen=True, kw_only=True):
    """Ends the session, if it exists."""

    token_hash: str
