"""Users, who sign in to the dashboard, and their sessions."""

from __future__ import annotations

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.compatibility import WireStruct


class User(WireStruct, frozen=True, kw_only=True):
    """Somebody who can sign in to the dashboard of an account."""

    id: str
    account: Account
    email: str
    joined_at_ms: int


class SignedIn(WireStruct, frozen=True, kw_only=True):
    """`token` of the new session, None when it was refused; then `wait_ms` is how long to wait before another try."""

    token: str | None
    wait_ms: int = 0


class Session(WireStruct, frozen=True, kw_only=True):
    """A session that goes on, and whose."""

    user: User
    ends_at_ms: int


class IsFirstRun(Command[bool], frozen=True, kw_only=True):
    """Whether nobody can sign in yet."""


class CreateUser(Command[User], frozen=True, kw_only=True):
    """Makes a user of an account, or (`account_id` None) of a new one with this name.

    `is_first`: only when there is no user yet; Conflict otherwise, and of several at once all but one.
    """

    email: str
    password: str
    account_id: str | None = None
    account_name: str = ""
    is_first: bool = False


class ListUsers(Command[list[User]], frozen=True, kw_only=True):
    """Of an account, or (None) of all."""

    account: Account | None = None


class RemoveUser(Command[None], frozen=True, kw_only=True):
    """Ends the user and all sessions. `account` None: of whichever account. The last of an account is a Conflict."""

    account: Account | None = None
    user_id: str


class SetPassword(Command[None], frozen=True, kw_only=True):
    """Gives a user another password, and ends all sessions."""

    user_id: str
    password: str


class ChangePassword(Command[bool], frozen=True, kw_only=True):
    """Has a user's password changed by the user, who knows the old one; False: that was another.

    All sessions but the one that asks end.
    """

    account: Account
    user_id: str
    old: str
    new: str
    token_hash: str


class SignIn(Command[SignedIn], frozen=True, kw_only=True):
    """Begins a session. Tries are counted by address and by user, for all front ends together."""

    email: str
    password: str
    #: Where from.
    address: str


class FindSession(Command[Session | None], frozen=True, kw_only=True):
    """The session whose token has this SHA-256 (hex), if it goes on; asking keeps it from idling out."""

    token_hash: str


class SignOut(Command[None], frozen=True, kw_only=True):
    """Ends the session; one that is over already is no error."""

    token_hash: str
