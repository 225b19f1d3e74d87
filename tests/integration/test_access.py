"""Users, sessions and keys on a real SQLite ledger, with real password hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from actors.adapters.passwords import MAX_WAITING, Argon2Passwords
from actors.application.accounts import AccountService
from actors.application.users import UserService
from actors.commands.accounts import Authenticate, IssueApiKey, ListApiKeys, RevokeApiKey
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
    User,
)
from actors.ledger.access.port import AccessChange
from domain.errors import Conflict, InvalidInput, NotFound, Overloaded, StoreUnavailable
from domain.key_set import KeySet
from domain.sessions import ABSOLUTE_MS, IDLE_MS, MAX_TRIES_PER_ADDRESS, MAX_TRIES_PER_USER, WINDOW_MS
from tests.application_context import application_context
from tests.contract.ledger_facts import Store, Tenant
from tests.contract.postgres_store import postgres_stores
from tests.contract.sqlite_store import sqlite_stores
from tests.keys import FixedKeys
from tests.postgres import PostgresServer

PASSWORD = "correct horse battery"


def digest(token: str | None) -> str:
    return sha256((token or "").encode()).hexdigest()


class Access:
    """The access service, called with commands as by the gateway."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = FixedKeys(KeySet.single(b"k" * 32))
        self.passwords = Argon2Passwords(self.keys)
        self.users = UserService(application_context(store), self.passwords)
        self.accounts = AccountService(application_context(store))

    def do(self, command: Command[Any]) -> Any:
        handlers = AccountService.handlers.bound_to(self.accounts) | UserService.handlers.bound_to(self.users)
        return asyncio.run(handlers[type(command)](command))  # type: ignore[arg-type]

    def user(self, email: str = "ann@example.com", **more: Any) -> User:
        user: User = self.do(CreateUser(email=email, password=PASSWORD, **{"account_name": "Acme"} | more))
        return user

    def sign_in(self, email: str = "ann@example.com", password: str = PASSWORD, address: str = "192.0.2.1") -> Any:
        return self.do(SignIn(email=email, password=password, address=address))

    def session(self, token: str | None) -> Session | None:
        session: Session | None = self.do(FindSession(token_hash=digest(token)))
        return session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_stores(tmp_path) as made:
        yield made


@pytest.fixture
def access(store: Store) -> Access:
    return Access(store)


def test_the_first_user_creates_the_account_once(access: Access) -> None:
    """The first run lasts until the first user exists; later attempts are refused."""
    assert access.do(IsFirstRun())
    first = access.user(is_first=True)

    assert first.account.name == "Acme"
    assert not access.do(IsFirstRun())
    with pytest.raises(Conflict, match="Sign in"):
        access.user("bob@example.com", is_first=True)


def test_one_of_two_concurrent_first_runs_is_refused(access: Access) -> None:
    """If two requests both find no user, the ledger only accepts one of them."""

    async def at_once() -> list[Any]:
        commands = [
            CreateUser(email=f"{name}@example.com", password=PASSWORD, account_name="Acme", is_first=True)
            for name in ("ann", "bob")
        ]
        return await asyncio.gather(*map(access.users.create_user, commands), return_exceptions=True)

    made = asyncio.run(at_once())

    assert sorted(type(answer).__name__ for answer in made) == ["Conflict", "User"]
    assert len(access.do(ListUsers())) == 1


def test_users_belong_to_an_account(access: Access) -> None:
    """Unknown accounts, used addresses and weak passwords are refused; lists only have the account's own users."""
    ann = access.user()
    bob = access.user("bob@example.com", account_id=ann.account.id)
    other = access.user("cal@example.com")

    assert bob.account == ann.account
    assert other.account != ann.account
    assert access.do(ListUsers(account=ann.account)) == [ann, bob]
    assert access.do(ListUsers()) == [ann, bob, other]
    with pytest.raises(NotFound):
        access.user("dan@example.com", account_id="acc_" + "0" * 32)
    with pytest.raises(Conflict, match=r"ann@example\.com"):
        access.user("ann@example.com", account_id=ann.account.id)
    with pytest.raises(InvalidInput) as caught:
        access.do(CreateUser(email="eve@example.com", password="short", account_name="Eve"))
    assert caught.value.problems[0][0] == "/password"
    with pytest.raises(InvalidInput):
        access.user("nobody")


def test_a_session_lasts_while_it_is_used(access: Access) -> None:
    """Only the right password starts a session, which ends when idle or after days; only its hash is stored."""
    user = access.user()
    assert access.sign_in(password="wrong horse battery") == SignedIn(token=None)
    assert access.sign_in("nobody@example.com") == SignedIn(token=None)
    token = access.sign_in("ANN@example.com").token
    began_ms = access.store.clock.ms

    found = access.session(token)
    assert found is not None
    assert (found.user, found.ends_at_ms) == (user, began_ms + IDLE_MS)
    assert access.session("fls_another") is None
    while access.store.clock.ms + IDLE_MS // 2 < began_ms + ABSOLUTE_MS:
        access.store.clock.ms += IDLE_MS // 2
        assert access.session(token) is not None
    access.store.clock.ms = began_ms + ABSOLUTE_MS
    assert access.session(token) is None

    idle = access.sign_in().token
    access.store.clock.ms += IDLE_MS
    assert access.session(idle) is None
    file = Path(access.store.reader._path)  # type: ignore[attr-defined]
    stored = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert token.encode() not in stored
    assert PASSWORD.encode() not in stored


def test_sessions_end_by_signing_out_and_with_the_password(access: Access) -> None:
    """Signing out ends one session; changing the password ends all others; a reset of the password ends all."""
    user = access.user()
    here, there, gone = (access.sign_in().token for _ in range(3))
    access.do(SignOut(token_hash=digest(gone)))
    access.do(SignOut(token_hash=digest(gone)))
    assert access.session(gone) is None

    change: dict[str, Any] = {"account": user.account, "user_id": user.id, "token_hash": digest(here)}
    assert not access.do(ChangePassword(old="wrong horse battery", new="another long one", **change))
    assert access.session(there) is not None
    assert access.do(ChangePassword(old=PASSWORD, new="another long one", **change))
    assert [access.session(t) is not None for t in (here, there)] == [True, False]
    assert access.sign_in().token is None
    assert access.sign_in(password="another long one").token is not None

    access.do(SetPassword(user_id=user.id, password="yet another one"))
    assert access.session(here) is None
    assert access.sign_in(password="yet another one").token is not None


def test_a_removed_user_is_signed_out_and_the_last_one_stays(access: Access) -> None:
    """A removed user's sessions end; an account's last user and users of other accounts cannot be removed."""
    ann = access.user()
    bob = access.user("bob@example.com", account_id=ann.account.id)
    other = access.user("cal@example.com")
    token = access.sign_in("bob@example.com").token
    with pytest.raises(NotFound):
        access.do(RemoveUser(account=other.account, user_id=bob.id))
    access.do(RemoveUser(account=ann.account, user_id=bob.id))

    assert access.session(token) is None
    assert access.sign_in("bob@example.com").token is None
    with pytest.raises(Conflict, match="last user"):
        access.do(RemoveUser(user_id=ann.id))


def test_attempts_are_limited_by_address_and_by_user(access: Access) -> None:
    """Too many attempts from one address, or for one user from many, must wait, even with the right password."""
    access.user()
    quick: Any = FakePasswords()
    access.users._passwords = quick
    for _ in range(MAX_TRIES_PER_ADDRESS):
        assert access.sign_in("nobody@example.com").wait_ms == 0
    assert access.sign_in("nobody@example.com").wait_ms == WINDOW_MS
    assert access.sign_in().token is None
    assert access.sign_in(address="2001:db8::1").token is not None

    for n in range(MAX_TRIES_PER_USER):
        assert access.sign_in(password="wrong", address=f"198.51.100.{n}").wait_ms == 0
    assert access.sign_in(address="203.0.113.1").wait_ms == WINDOW_MS
    access.store.clock.ms += WINDOW_MS
    assert access.sign_in().token is not None


def test_one_subscriber_is_one_address(access: Access) -> None:
    """All addresses of an IPv6 /64 count as one; invalid addresses count too."""
    access.users._passwords = FakePasswords()
    for n in range(MAX_TRIES_PER_ADDRESS):
        access.sign_in("nobody@example.com", address=f"2001:db8:0:1::{n:x}")
    assert access.sign_in("other@example.com", address="2001:db8:0:1:ffff::").wait_ms > 0
    assert access.sign_in("other@example.com", address="2001:db8:0:2::").wait_ms == 0
    assert access.sign_in("other@example.com", address="").wait_ms == 0


def test_keys_are_named_used_and_revoked(access: Access) -> None:
    """A key's last use is recorded to the minute; an account can only revoke its own keys, which are then refused."""
    account, other = access.user().account, access.user("cal@example.com").account
    made = access.do(IssueApiKey(account=account, name="Shop", key_hash="a" * 64))
    assert (made.name, made.used_at_ms) == ("Shop", None)
    assert access.do(Authenticate(key_hash="a" * 64)) == account
    noted = access.store.clock.ms
    access.store.clock.ms += 30_000
    access.do(Authenticate(key_hash="a" * 64))
    assert [key.used_at_ms for key in access.do(ListApiKeys(account=account))] == [noted]
    access.store.clock.ms += 30_000
    access.do(Authenticate(key_hash="a" * 64))
    assert [key.used_at_ms for key in access.do(ListApiKeys(account=account))] == [noted + 60_000]

    with pytest.raises(NotFound):
        access.do(RevokeApiKey(account=other, key_id=made.id))
    access.do(RevokeApiKey(account=account, key_id=made.id))
    assert access.do(ListApiKeys(account=account)) == []
    assert access.do(Authenticate(key_hash="a" * 64)) is None


def test_keys_and_sessions_work_with_a_read_only_ledger(access: Access) -> None:
    """Keys and sessions work while the ledger is read-only."""
    account = access.user().account
    access.do(IssueApiKey(account=account, name="", key_hash="a" * 64))
    token = access.sign_in().token
    access.store.clock.ms += 120_000
    access.users._ledger = access.accounts._ledger = cast(Any, ReadOnlyLedger())

    assert access.do(Authenticate(key_hash="a" * 64)) == account
    assert access.session(token) is not None


def test_the_number_of_waiting_passwords_is_limited(access: Access) -> None:
    """At most twenty sign-ins wait for their hash; further ones are refused at once."""

    async def rush() -> list[Any]:
        work = [access.passwords.is_right(None, PASSWORD) for _ in range(MAX_WAITING + 1)]
        return await asyncio.gather(*work, return_exceptions=True)

    answers = asyncio.run(rush())

    assert answers[:-1] == [False] * MAX_WAITING
    assert isinstance(answers[-1], Overloaded)


def test_hashes_need_the_installations_key(access: Access) -> None:
    """Equal passwords have different hashes; hashes with another key and invalid hashes never match."""

    async def scenario() -> None:
        one, two = await access.passwords.hash(PASSWORD), await access.passwords.hash(PASSWORD)
        assert one != two
        assert one.startswith("1:$argon2id$")
        assert await access.passwords.is_right(two, PASSWORD)
        assert not await Argon2Passwords(FixedKeys(KeySet.single(b"x" * 32))).is_right(one, PASSWORD)
        assert not await access.passwords.is_right("nonsense", PASSWORD)

    asyncio.run(scenario())


def test_a_sign_in_hashes_with_the_newest_key(access: Access) -> None:
    """After a rotation, the former key can be dropped as soon as each user has signed in once. Sessions go on."""
    access.user()
    token = access.sign_in().token
    access.keys.keys = KeySet(2, {1: b"k" * 32, 2: b"n" * 32})
    assert access.sign_in().token is not None
    access.keys.keys = KeySet(2, {2: b"n" * 32})

    assert access.sign_in().token is not None
    assert access.sign_in(password="wrong horse battery").token is None
    assert access.session(token) is not None


class FakePasswords:
    """Fake password hashes without the cost."""

    async def hash(self, password: str) -> str:
        return password

    async def is_right(self, stored: str | None, password: str) -> bool:
        return stored is not None and password == PASSWORD

    def is_current(self, _stored: str) -> bool:
        return True


class ReadOnlyLedger:
    """Fake ledger that refuses writes."""

    async def change_access(self, _change: AccessChange) -> int:
        raise StoreUnavailable("the disk is full")


def test_tenants_of_the_suite_are_found_by_their_key(store: Store, access: Access) -> None:
    """An account without users is found by its key."""
    tenant: Tenant = store.account()
    assert access.do(ListUsers(account=tenant.view)) == []
    assert len(access.do(ListApiKeys(account=tenant.view))) == 1


def test_a_text_that_postgresql_refuses_is_unknown(postgres: PostgresServer) -> None:
    """A NUL in a name to look for is no error: there is no such user, and no such account."""
    with postgres_stores(postgres) as store:
        access = Access(store)

        assert access.sign_in(email="a\0@example.com") == SignedIn(token=None)
        with pytest.raises(NotFound):
            access.user(account_id="acc_\0")
