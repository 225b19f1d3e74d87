"""The application service's part about who comes in: users, sessions, API keys.

What is decided of a session or a try is in `domain.sessions`; what is known of them is in the ledger, so that it holds
for all front ends together and through restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from actors.commands import accounts as account_commands
from actors.commands import users as user_commands
from actors.commands.accounts import ApiKey, Authenticate, IssueApiKey, ListApiKeys, RevokeApiKey
from actors.commands.command import Command
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
from actors.ledger.access import port as a
from actors.ledger.port import LedgerReader
from actors.ports import Clock, LedgerWriter
from domain.account import Account
from domain.aggregate import EventSourced
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, NotFound
from domain.key_derivation import derive
from domain.ledger import domain_events, event_mapper
from domain.sessions import MAX_TRIES_PER_ADDRESS, MAX_TRIES_PER_USER, USE_NOTED_EVERY_MS, session_ends_ms
from domain.user import User, check_new_user, check_password
from domain.values import id_text, id_uuid

T = TypeVar("T")
A = TypeVar("A", bound=EventSourced)

#: Users, and keys, that are listed; nobody has as many.
MAX_LISTED: Final = 1000
MAX_TRIES: Final = 5
_NO_UUID: Final = UUID(int=0)


class Passwords(Protocol):
    """How passwords are kept."""

    async def hash(self, password: str) -> str:
        """What is stored of the password. Raises `Overloaded`."""
        ...

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether it is the one of which `stored` is; None takes as long, and never is. Raises `Overloaded`."""
        ...


class Ledger(LedgerWriter, a.AccessLedger, Protocol):
    """What is written to."""


class AccessService:
    """Handles commands about users, sessions and API keys. Stateless but for the passwords that wait their turn."""

    def __init__(
        self,
        ledger: Ledger,
        reader: LedgerReader,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        passwords: Passwords,
        master_key: bytes,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._random_bytes = random_bytes
        self._passwords = passwords
        #: The same on every front end: of two first runs at once, one is refused.
        self._first_account = UUID(bytes=derive(master_key, "first-account", 16))
        self._mapper = event_mapper()

    def handlers(self) -> dict[type[Command[Any]], Callable[[Any], Awaitable[Any]]]:
        """Each command that is carried out here, and what does it."""
        return {
            Authenticate: self.authenticate,
            IssueApiKey: self.issue_api_key,
            ListApiKeys: self.list_api_keys,
            RevokeApiKey: self.revoke_api_key,
            IsFirstRun: self.is_first_run,
            CreateUser: self.create_user,
            ListUsers: self.list_users,
            RemoveUser: self.remove_user,
            SetPassword: self.set_password,
            ChangePassword: self.change_password,
            SignIn: self.sign_in,
            FindSession: self.find_session,
            SignOut: self.sign_out,
        }

    # --- API keys

    async def authenticate(self, command: Authenticate) -> account_commands.Account | None:
        """The account that the key opens; notes the use now and then."""
        account = await _read(self._reader.account_by_key, command.key_hash)
        if account is not None:
            used_ms = await _read(self._reader.api_key_used_ms, command.key_hash)
            if self._is_due(used_ms):
                await self._note(a.UseApiKey(hash=command.key_hash))
        return account

    async def issue_api_key(self, command: IssueApiKey) -> ApiKey:
        """Adds a key."""

        def issue(account: Account) -> None:
            account.issue_api_key(command.key_hash, self._clock.now_ms(), command.name)

        await self._change(Account, id_uuid("acc", command.account.id), issue)
        return next(key for key in await self.list_api_keys(command) if key.id == _key_id(command.key_hash))

    async def list_api_keys(self, command: ListApiKeys | IssueApiKey) -> list[ApiKey]:
        """The account's keys."""
        rows = await _read(self._reader.api_keys, command.account.no, MAX_LISTED)
        return [
            ApiKey(id=_key_id(row.hash), name=row.name, issued_at_ms=row.issued_at_ms, used_at_ms=row.used_at_ms)
            for row in rows
        ]

    async def revoke_api_key(self, command: RevokeApiKey) -> None:
        """Takes a key back."""
        rows = await _read(self._reader.api_keys, command.account.no, MAX_LISTED)
        found = next((row for row in rows if _key_id(row.hash) == command.key_id), None)
        if found is None:
            raise NotFound(f"there is no API key {command.key_id} in this account")
        hash_ = found.hash
        await self._change(
            Account,
            id_uuid("acc", command.account.id),
            lambda account: account.revoke_api_key(hash_, self._clock.now_ms()),
        )

    # --- users

    async def is_first_run(self, _command: IsFirstRun) -> bool:
        """Whether nobody can sign in yet."""
        return not await _read(self._reader.has_users)

    async def create_user(self, command: CreateUser) -> user_commands.User:
        """Makes a user, and an account where one is wanted."""
        check_new_user(command.email, command.password, None if command.account_id else command.account_name)
        if command.is_first and not await self.is_first_run(IsFirstRun()):
            raise Conflict("There are users already. Sign in, or ask one of them to add you.")
        now_ms = self._clock.now_ms()
        opened: list[StoredEvent] = []
        if command.account_id is None:
            account_uuid = self._first_account if command.is_first else uuid4()
            opened = self._stored(Account.open(account_uuid, command.account_name, now_ms))
            account_id = id_text("acc", account_uuid)
        else:
            account_id = command.account_id
            if await _read(self._reader.account_by_id, account_id) is None:
                raise NotFound(f"there is no account {account_id}")
        user_uuid = uuid4()
        password_hash = await self._passwords.hash(command.password)
        user = User.join(user_uuid, account_id, command.email, password_hash, now_ms)
        try:
            await self._ledger.append([*opened, *self._stored(user)])
        except ConcurrentWrite:
            raise Conflict(_taken(command)) from None
        return _user(await self._own_user(None, id_text("usr", user_uuid)))

    async def list_users(self, command: ListUsers) -> list[user_commands.User]:
        """Users by their addresses."""
        account_no = None if command.account is None else command.account.no
        return [_user(row) for row in await _read(self._reader.users, account_no, MAX_LISTED)]

    async def remove_user(self, command: RemoveUser) -> None:
        """Ends a user and all sessions of theirs."""
        row = await self._own_user(command.account, command.user_id)
        if len(await _read(self._reader.users, row.account.no, 2)) < 2:
            raise Conflict("This is the account's last user, without whom nobody could sign in. Add another one first.")
        await self._change(User, id_uuid("usr", row.id), lambda user: user.leave(self._clock.now_ms()))

    async def set_password(self, command: SetPassword) -> None:
        """Gives a user another password, and ends all sessions."""
        row = await self._own_user(None, command.user_id)
        check_password(command.password, row.email)
        await self._take_password(row, command.password)
        await self._ledger.change_access(a.EndSessionsOf(user_id=row.id))

    async def change_password(self, command: ChangePassword) -> bool:
        """Changes a password on its owner's word. Tries count as those to sign in."""
        row = await self._own_user(command.account, command.user_id)
        check_password(command.new, row.email, "/new")
        wait_ms = await self._ledger.change_access(a.CountTries(limits={_user_key(row.email): MAX_TRIES_PER_USER}))
        if wait_ms or not await self._passwords.is_right(row.password_hash, command.old):
            return False
        await self._take_password(row, command.new)
        await self._ledger.change_access(a.EndSessionsOf(user_id=row.id, but=command.token_hash))
        return True

    async def _take_password(self, row: a.UserRow, password: str) -> None:
        password_hash = await self._passwords.hash(password)
        await self._change(
            User, id_uuid("usr", row.id), lambda user: user.change_password(password_hash, self._clock.now_ms())
        )

    async def _own_user(self, account: account_commands.Account | None, user_id: str) -> a.UserRow:
        row = await _read(self._reader.user, user_id)
        if row is None or (account is not None and row.account.no != account.no):
            raise NotFound(f"there is no user {user_id}" + ("" if account is None else " in this account"))
        return row

    # --- sessions

    async def sign_in(self, command: SignIn) -> SignedIn:
        """Begins a session, if the password is right and there were not too many tries."""
        user_key = _user_key(command.email)
        limits = {user_key: MAX_TRIES_PER_USER, _address_key(command.address): MAX_TRIES_PER_ADDRESS}
        if wait_ms := await self._ledger.change_access(a.CountTries(limits=limits)):
            return SignedIn(token=None, wait_ms=wait_ms)
        row = await _read(self._reader.user_by_email, command.email)
        if not await self._passwords.is_right(row.password_hash if row else None, command.password) or row is None:
            return SignedIn(token=None)
        token = f"fls_{urlsafe_b64encode(self._random_bytes(32)).rstrip(b'=').decode()}"
        await self._ledger.change_access(a.BeginSession(hash=sha256(token.encode()).hexdigest(), user_id=row.id))
        # Not the address: with a user of one's own, one could guess another's password for ever.
        await self._ledger.change_access(a.ForgiveTries(key=user_key))
        return SignedIn(token=token)

    async def find_session(self, command: FindSession) -> Session | None:
        """The session, if it goes on; keeps it from idling out."""
        row = await _read(self._reader.session, command.token_hash)
        now_ms = self._clock.now_ms()
        if row is None or now_ms >= session_ends_ms(row.began_at_ms, row.used_at_ms):
            return None
        if self._is_due(row.used_at_ms):
            await self._note(a.UseSession(hash=command.token_hash))
        return Session(user=_user(row.user), ends_at_ms=session_ends_ms(row.began_at_ms, now_ms))

    async def sign_out(self, command: SignOut) -> None:
        """Ends the session."""
        await self._ledger.change_access(a.EndSession(hash=command.token_hash))

    # --- what all share

    def _is_due(self, used_ms: int | None) -> bool:
        return used_ms is None or self._clock.now_ms() - used_ms >= USE_NOTED_EVERY_MS

    async def _note(self, use: a.UseApiKey | a.UseSession) -> None:
        # Who has the key comes in, whether the use of it can be noted now or not.
        with contextlib.suppress(FeedbackLoopsError):
            await self._ledger.change_access(use)

    async def _change(self, kind: type[A], uuid: UUID | None, act: Callable[[A], None]) -> None:
        for _ in range(MAX_TRIES):
            stored = await _read(self._reader.events_of, uuid or _NO_UUID)
            found = kind.from_events(domain_events(self._mapper, stored))
            if found is None:
                raise NotFound(f"there is no such {kind.__name__.lower()}")
            act(found)
            try:
                await self._ledger.append(self._stored(found))
            except ConcurrentWrite:
                continue
            return
        raise ConcurrentWrite("others keep changing the same thing; try again")

    def _stored(self, aggregate: EventSourced) -> list[StoredEvent]:
        return [self._mapper.to_stored_event(event) for event in aggregate.collect_events()]


def _key_id(key_hash: str) -> str:
    return f"key_{key_hash[:16]}"


def _user(row: a.UserRow) -> user_commands.User:
    return user_commands.User(id=row.id, account=row.account, email=row.email, joined_at_ms=row.joined_at_ms)


def _taken(command: CreateUser) -> str:
    if command.is_first:
        return "Somebody else made the first user at the same moment, or the address is taken. Sign in instead."
    return f"There is a user with the address {command.email} already. Addresses are of one user each."


def _user_key(email: str) -> str:
    """Whether there is such a user or not; of bounded length, and no address in clear."""
    return f"user/{sha256(email.lower().encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _address_key(address: str) -> str:
    """One subscriber has a whole /64 of IPv6."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "address/unknown"
    return f"address/{ip.exploded[:19]}" if isinstance(ip, IPv6Address) else f"address/{ip}"


async def _read(look_up: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(look_up, *args)
