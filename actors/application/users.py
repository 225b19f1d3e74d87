"""User handlers: users of the dashboard, and their sessions.

`domain.sessions` decides how long a session lasts and how many sign-in attempts are allowed. The ledger holds sessions
and attempts, so these rules apply to all front ends together and survive restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import urlsafe_b64encode
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol
from uuid import UUID, uuid4

from actors.application.context import CommandService, Context
from actors.commands import users as commands
from actors.commands.accounts import Account as AccountView
from actors.commands.handlers import HandlerTable
from actors.commands.users import (
    ChangePassword,
    CreateUser,
    FindSession,
    IsFirstRun,
    ListUsers,
    RemoveUser,
    Session,
    SetPassword,
    SignedIn,
    SignIn,
    SignOut,
)
from actors.ledger.access import port as access
from domain.account import Account
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, NotFound
from domain.sessions import MAX_TRIES_PER_ADDRESS, MAX_TRIES_PER_USER, is_use_due, session_ends_ms
from domain.user import User, check_new_user, check_password
from domain.validation import text_problem
from domain.values import id_text, id_uuid

#: Maximum number of users in a list.
MAX_LISTED: Final = 1000


class Passwords(Protocol):
    """Password hashing."""

    async def hash(self, password: str) -> str:
        """The hash to store. Raises `Overloaded`."""
        ...

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether the stored hash is that of `password`.

        With None the answer is always False and takes just as long. Raises `Overloaded`.
        """
        ...

    def is_current(self, stored: str) -> bool:
        """Whether the stored hash was made with the newest key."""
        ...


class UserService(CommandService):
    """Handles commands about users and sessions."""

    handlers = HandlerTable()

    def __init__(self, context: Context, passwords: Passwords) -> None:
        super().__init__(context)
        self._passwords = passwords
        #: The same on every front end, so that only one of two simultaneous first runs succeeds.
        self._first_user = UUID(bytes=sha256(f"first user of {context.installation}".encode()).digest()[:16])

    # --- users

    @handlers.add(IsFirstRun)
    async def is_first_run(self, _command: IsFirstRun) -> bool:
        """Whether there is no user yet."""
        return not await asyncio.to_thread(self._reader.has_users)

    @handlers.add(CreateUser)
    async def create_user(self, command: CreateUser) -> commands.User:
        """Creates a user, and an account if the command names none.

        Raises:
            Conflict: the address is taken, or this is a first run and there are users already.
            InvalidInput: the address, the password or the account's name is not valid.
            NotFound: there is no such account.
        """
        check_new_user(command.email, command.password, None if command.account_id else command.account_name)
        if command.is_first and not await self.is_first_run(IsFirstRun()):
            raise Conflict("There are users already. Sign in, or ask one of them to add you.")
        now_ms = self._clock.now_ms()
        new: list[Account | User] = []
        if command.account_id is None:
            account_uuid = uuid4()
            new.append(Account.open(account_uuid, command.account_name, now_ms))
            account_id = id_text("acc", account_uuid)
        else:
            account_id = command.account_id
            is_fit = text_problem(account_id) is None
            if not is_fit or await asyncio.to_thread(self._reader.account_by_id, account_id) is None:
                raise NotFound(f"there is no account {account_id}")
        user_uuid = self._first_user if command.is_first else uuid4()
        password_hash = await self._passwords.hash(command.password)
        new.append(User.join(user_uuid, account_id, command.email, password_hash, now_ms))
        try:
            await self._aggregates.save(*new)
        except ConcurrentWrite:
            raise Conflict(_taken(command)) from None
        return _view(await self._row(None, id_text("usr", user_uuid)))

    @handlers.add(ListUsers)
    async def list_users(self, command: ListUsers) -> list[commands.User]:
        """Users, sorted by their addresses."""
        account_no = None if command.account is None else command.account.no
        return [_view(row) for row in await asyncio.to_thread(self._reader.users, account_no, MAX_LISTED)]

    @handlers.add(RemoveUser)
    async def remove_user(self, command: RemoveUser) -> None:
        """Removes a user and ends all of the user's sessions.

        Raises:
            Conflict: this is the account's last user.
            NotFound: there is no such user.
        """
        row = await self._row(command.account, command.user_id)
        if len(await asyncio.to_thread(self._reader.users, row.account.no, 2)) < 2:
            raise Conflict("This is the account's last user, and nobody else could sign in. Add another one first.")
        await self._aggregates.change(User, id_uuid("usr", row.id), lambda user: user.leave(self._clock.now_ms()))

    @handlers.add(SetPassword)
    async def set_password(self, command: SetPassword) -> None:
        """Replaces a user's password and ends all sessions."""
        row = await self._row(None, command.user_id)
        check_password(command.password, row.email)
        await self._store_password(row, command.password)
        await self._ledger.change_access(access.EndSessionsOf(user_id=row.id))

    @handlers.add(ChangePassword)
    async def change_password(self, command: ChangePassword) -> bool:
        """Replaces the user's own password, if the old one is right. Attempts count like sign-in attempts."""
        row = await self._row(command.account, command.user_id)
        check_password(command.new, row.email, "/new")
        limits = {_user_key(row.email): MAX_TRIES_PER_USER}
        wait_ms = await self._ledger.change_access(access.CountTries(limits=limits))
        if wait_ms or not await self._passwords.is_right(row.password_hash, command.old):
            return False
        await self._store_password(row, command.new)
        await self._ledger.change_access(access.EndSessionsOf(user_id=row.id, but=command.token_hash))
        return True

    async def _store_password(self, row: access.UserRow, password: str) -> None:
        password_hash = await self._passwords.hash(password)

        def change(user: User) -> None:
            user.change_password(password_hash, self._clock.now_ms())

        await self._aggregates.change(User, id_uuid("usr", row.id), change)

    async def _row(self, account: AccountView | None, user_id: str) -> access.UserRow:
        row = await asyncio.to_thread(self._reader.user, user_id)
        if row is None or (account is not None and row.account.no != account.no):
            raise NotFound(f"there is no user {user_id}" + ("" if account is None else " in this account"))
        return row

    # --- sessions

    @handlers.add(SignIn)
    async def sign_in(self, command: SignIn) -> SignedIn:
        """Starts a session, if the password is right and there were not too many attempts."""
        user_key = _user_key(command.email)
        limits = {user_key: MAX_TRIES_PER_USER, _address_key(command.address): MAX_TRIES_PER_ADDRESS}
        if wait_ms := await self._ledger.change_access(access.CountTries(limits=limits)):
            return SignedIn(token=None, wait_ms=wait_ms)
        row = None
        if text_problem(command.email, len(command.email)) is None:  # PostgreSQL refuses to look for a NUL
            row = await asyncio.to_thread(self._reader.user_by_email, command.email)
        if not await self._passwords.is_right(row.password_hash if row else None, command.password) or row is None:
            return SignedIn(token=None)
        token = f"fls_{urlsafe_b64encode(self._random_bytes(32)).rstrip(b'=').decode()}"
        await self._ledger.change_access(access.BeginSession(hash=sha256(token.encode()).hexdigest(), user_id=row.id))
        # The address keeps its count: otherwise a user could guess another user's password without limit.
        await self._ledger.change_access(access.ForgiveTries(key=user_key))
        if not self._passwords.is_current(row.password_hash):
            # So that the former key can be dropped. The next sign-in tries again if this fails.
            with contextlib.suppress(FeedbackLoopsError):
                await self._store_password(row, command.password)
        return SignedIn(token=token)

    @handlers.add(FindSession)
    async def find_session(self, command: FindSession) -> Session | None:
        """The session, unless it is over. Asking counts as use, so the session does not expire as idle."""
        row = await asyncio.to_thread(self._reader.session, command.token_hash)
        now_ms = self._clock.now_ms()
        if row is None or now_ms >= session_ends_ms(row.began_at_ms, row.used_at_ms):
            return None
        if is_use_due(row.used_at_ms, now_ms):
            # The session is valid, whether or not its use can be recorded now.
            with contextlib.suppress(FeedbackLoopsError):
                await self._ledger.change_access(access.UseSession(hash=command.token_hash))
        return Session(user=_view(row.user), ends_at_ms=session_ends_ms(row.began_at_ms, now_ms))

    @handlers.add(SignOut)
    async def sign_out(self, command: SignOut) -> None:
        """Ends the session."""
        await self._ledger.change_access(access.EndSession(hash=command.token_hash))


def _view(row: access.UserRow) -> commands.User:
    return commands.User(id=row.id, account=row.account, email=row.email, joined_at_ms=row.joined_at_ms)


def _taken(command: CreateUser) -> str:
    if command.is_first:
        return "Somebody else created the first user at the same moment, or the address is taken. Sign in instead."
    return f"There is a user with the address {command.email} already. An address can belong to one user only."


def _user_key(email: str) -> str:
    """The key that counts attempts for an address. It is short, and does not reveal the address."""
    return f"user/{sha256(email.lower().encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _address_key(address: str) -> str:
    """The key that counts attempts from a client; an IPv6 subscriber has a whole /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "address/unknown"
    return f"address/{ip.exploded[:19]}" if isinstance(ip, IPv6Address) else f"address/{ip}"
