"""Accounts, users, sessions and API keys in memory, as the actors' side keeps them."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Final
from uuid import UUID, uuid4

from actors import commands as c
from domain.account import Account
from domain.errors import Conflict, NotFound
from domain.user import User, check_new_user, check_password
from domain.values import id_text

NOW_MS: Final = 1_767_225_600_123


class FakeAccess:
    """The part of `FakeClient` that knows who comes in."""

    def __init__(self) -> None:
        super().__init__()
        #: By the hashes of their keys.
        self.accounts: dict[str, c.Account] = {}
        self.keys: dict[str, c.ApiKey] = {}
        self.users: dict[str, tuple[c.User, str]] = {}
        #: Users by the hashes of their sessions' tokens.
        self.sessions: dict[str, str] = {}
        #: What the next try to sign in has to wait.
        self.sign_in_wait_ms = 0
        self._account_nos = count(1)
        self._tokens = count(1)

    # --- accounts and keys

    def _new_account(self, name: str) -> c.Account:
        account_id = uuid4()
        Account.open(account_id, name, NOW_MS)
        return c.Account(no=next(self._account_nos), id=id_text("acc", account_id), name=name)

    def _create_account(self, x: c.CreateAccount) -> c.Account:
        account = self._new_account(x.name)
        self._issue_api_key(c.IssueApiKey(account=account, name="", key_hash=x.key_hash))
        return account

    def _authenticate(self, x: c.Authenticate) -> c.Account | None:
        return self.accounts.get(x.key_hash)

    def _issue_api_key(self, x: c.IssueApiKey) -> c.ApiKey:
        Account.open(UUID(int=1), "A", NOW_MS).issue_api_key(x.key_hash, NOW_MS, x.name)
        self.accounts[x.key_hash] = x.account
        self.keys[x.key_hash] = c.ApiKey(id=f"key_{x.key_hash[:16]}", name=x.name, issued_at_ms=NOW_MS, used_at_ms=None)
        return self.keys[x.key_hash]

    def _list_api_keys(self, x: c.ListApiKeys) -> list[c.ApiKey]:
        return [key for hash_, key in self.keys.items() if self.accounts[hash_].no == x.account.no]

    def _revoke_api_key(self, x: c.RevokeApiKey) -> None:
        for hash_, key in list(self.keys.items()):
            if key.id == x.key_id and self.accounts[hash_].no == x.account.no:
                del self.keys[hash_], self.accounts[hash_]
                return
        raise NotFound(f"there is no API key {x.key_id} in this account")

    # --- users

    def _is_first_run(self, _: c.IsFirstRun) -> bool:
        return not self.users

    def _create_user(self, x: c.CreateUser) -> c.User:
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
        user = c.User(id=id_text("usr", made.id), account=account, email=made.email, joined_at_ms=NOW_MS)
        self.users[user.id] = (user, x.password)
        return user

    def _list_users(self, x: c.ListUsers) -> list[c.User]:
        users = [user for user, _ in self.users.values()]
        return [user for user in users if x.account is None or user.account.no == x.account.no]

    def _user(self, account: c.Account | None, user_id: str) -> c.User:
        user, _ = self.users.get(user_id, (None, ""))
        if user is None or (account is not None and user.account.no != account.no):
            raise NotFound(f"there is no user {user_id}")
        return user

    def _remove_user(self, x: c.RemoveUser) -> None:
        user = self._user(x.account, x.user_id)
        if sum(other.account == user.account for other, _ in self.users.values()) < 2:
            raise Conflict("This is the account's last user.")
        del self.users[user.id]
        self.sessions = {hash_: id_ for hash_, id_ in self.sessions.items() if id_ != user.id}

    def _set_password(self, x: c.SetPassword) -> None:
        user = self._user(None, x.user_id)
        check_password(x.password, user.email)
        self.users[user.id] = (user, x.password)
        self.sessions = {hash_: id_ for hash_, id_ in self.sessions.items() if id_ != user.id}

    def _change_password(self, x: c.ChangePassword) -> bool:
        user = self._user(x.account, x.user_id)
        check_password(x.new, user.email, "/new")
        if self.users[user.id][1] != x.old:
            return False
        self.users[user.id] = (user, x.new)
        self.sessions = {h: id_ for h, id_ in self.sessions.items() if id_ != user.id or h == x.token_hash}
        return True

    # --- sessions

    def _sign_in(self, x: c.SignIn) -> c.SignedIn:
        if self.sign_in_wait_ms:
            return c.SignedIn(token=None, wait_ms=self.sign_in_wait_ms)
        for user, password in self.users.values():
            if (user.email, password) == (x.email.lower(), x.password):
                token = f"fls_{next(self._tokens)}"
                self.sessions[sha256(token.encode()).hexdigest()] = user.id
                return c.SignedIn(token=token)
        return c.SignedIn(token=None)

    def _find_session(self, x: c.FindSession) -> c.Session | None:
        user_id = self.sessions.get(x.token_hash)
        return None if user_id is None else c.Session(user=self.users[user_id][0], ends_at_ms=NOW_MS + 1)

    def _sign_out(self, x: c.SignOut) -> None:
        self.sessions.pop(x.token_hash, None)
