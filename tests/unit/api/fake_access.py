"""Accounts, users, sessions and API keys in memory, as the actors store them."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Final
from uuid import UUID, uuid4

from actors.commands import accounts as account_commands
from actors.commands import users as user_commands
from actors.commands.accounts import (
    ApiKey,
    Authenticate,
    CreateAccount,
    IssueApiKey,
    ListAccounts,
    ListApiKeys,
    RevokeApiKey,
)
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
from domain.account import Account
from domain.errors import Conflict, NotFound
from domain.user import User, check_new_user, check_password
from domain.values import id_text

NOW_MS: Final = 1_767_225_600_123


class FakeAccess:
    """The part of `FakeClient` that handles access."""

    def __init__(self) -> None:
        super().__init__()
        #: Accounts by the hashes of their keys.
        self.accounts: dict[str, account_commands.Account] = {}
        self.keys: dict[str, ApiKey] = {}
        self.users: dict[str, tuple[user_commands.User, str]] = {}
        #: Users by the hashes of their sessions' tokens.
        self.sessions: dict[str, str] = {}
        #: Seconds that the next sign-in attempt must wait.
        self.sign_in_wait_ms = 0
        self._account_nos = count(1)
        self._tokens = count(1)

    # --- accounts and keys

    def _new_account(self, name: str) -> account_commands.Account:
        account_id = uuid4()
        Account.open(account_id, name, NOW_MS)
        return account_commands.Account(no=next(self._account_nos), id=id_text("acc", account_id), name=name)

    def _create_account(self, x: CreateAccount) -> account_commands.Account:
        account = self._new_account(x.name)
        self._issue_api_key(IssueApiKey(account=account, name="", key_hash=x.key_hash))
        return account

    def _list_accounts(self, x: ListAccounts) -> list[account_commands.Account]:
        known = {account.no: account for account in self.accounts.values()}
        known |= {user.account.no: user.account for user, _ in self.users.values()}
        return [known[no] for no in sorted(known) if no > x.after][: x.limit]

    def _authenticate(self, x: Authenticate) -> account_commands.Account | None:
        return self.accounts.get(x.key_hash)

    def _issue_api_key(self, x: IssueApiKey) -> ApiKey:
        Account.open(UUID(int=1), "A", NOW_MS).issue_api_key(x.key_hash, NOW_MS, x.name)
        self.accounts[x.key_hash] = x.account
        self.keys[x.key_hash] = ApiKey(id=f"key_{x.key_hash[:16]}", name=x.name, issued_at_ms=NOW_MS, used_at_ms=None)
        return self.keys[x.key_hash]

    def _list_api_keys(self, x: ListApiKeys) -> list[ApiKey]:
        return [key for hash_, key in self.keys.items() if self.accounts[hash_].no == x.account.no]

    def _revoke_api_key(self, x: RevokeApiKey) -> None:
        for hash_, key in list(self.keys.items()):
            if key.id == x.key_id and self.accounts[hash_].no == x.account.no:
                del self.keys[hash_], self.accounts[hash_]
                return
        raise NotFound(f"there is no API key {x.key_id} in this account")

    # --- users

    def _is_first_run(self, _: IsFirstRun) -> bool:
        return not self.users

    def _create_user(self, x: CreateUser) -> user_commands.User:
        check_new_user(x.email, x.password, None if x.account_id else x.account_name)
        if x.is_first and self.users:
            raise Conflict("There are users already.")
        if any(user.email == x.email.lower() for user, _ in self.users.values()):
            raise Conflict(f"There is a user with the address {x.email} already.")
        known = {account.id: account for account in self.accounts.values()}
        known |= {user.account.id: user.account for user, _ in self.users.values()}
        account = self._new_account(x.account_name) if x.account_id is None else known.get(x.account_id)
        if account is None:
            raise NotFound(f"there is no account {x.account_id}")
        made = User.join(uuid4(), account.id, x.email, x.password, NOW_MS)
        user = user_commands.User(id=id_text("usr", made.id), account=account, email=made.email, joined_at_ms=NOW_MS)
        self.users[user.id] = (user, x.password)
        return user

    def _list_users(self, x: ListUsers) -> list[user_commands.User]:
        users = [user for user, _ in self.users.values()]
        return [user for user in users if x.account is None or user.account.no == x.account.no]

    def _user(self, account: account_commands.Account | None, user_id: str) -> user_commands.User:
        user, _ = self.users.get(user_id, (None, ""))
        if user is None or (account is not None and user.account.no != account.no):
            raise NotFound(f"there is no user {user_id}")
        return user

    def _remove_user(self, x: RemoveUser) -> None:
        user = self._user(x.account, x.user_id)
        if sum(other.account == user.account for other, _ in self.users.values()) < 2:
            raise Conflict("This is the account's last user.")
        del self.users[user.id]
        self.sessions = {hash_: id_ for hash_, id_ in self.sessions.items() if id_ != user.id}

    def _set_password(self, x: SetPassword) -> None:
        user = self._user(None, x.user_id)
        check_password(x.password, user.email)
        self.users[user.id] = (user, x.password)
        self.sessions = {hash_: id_ for hash_, id_ in self.sessions.items() if id_ != user.id}

    def _change_password(self, x: ChangePassword) -> bool:
        user = self._user(x.account, x.user_id)
        check_password(x.new, user.email, "/new")
        if self.users[user.id][1] != x.old:
            return False
        self.users[user.id] = (user, x.new)
        self.sessions = {h: id_ for h, id_ in self.sessions.items() if id_ != user.id or h == x.token_hash}
        return True

    # --- sessions

    def _sign_in(self, x: SignIn) -> SignedIn:
        if self.sign_in_wait_ms:
            return SignedIn(token=None, wait_ms=self.sign_in_wait_ms)
        for user, password in self.users.values():
            if (user.email, password) == (x.email.lower(), x.password):
                token = f"fls_{next(self._tokens)}"
                self.sessions[sha256(token.encode()).hexdigest()] = user.id
                return SignedIn(token=token)
        return SignedIn(token=None)

    def _find_session(self, x: FindSession) -> Session | None:
        user_id = self.sessions.get(x.token_hash)
        return None if user_id is None else Session(user=self.users[user_id][0], ends_at_ms=NOW_MS + 1)

    def _sign_out(self, x: SignOut) -> None:
        self.sessions.pop(x.token_hash, None)
