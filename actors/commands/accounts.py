"""Commands about accounts and their API keys."""

from __future__ import annotations

from actors.commands.command import Command
from actors.compatibility import WireStruct


class Account(WireStruct, frozen=True, kw_only=True):
    no: int
    id: str
    name: str


class ApiKey(WireStruct, frozen=True, kw_only=True):
    """An API key of an account. Its `id` does not reveal the key. `used_at_ms` is accurate to a minute."""

    id: str
    name: str
    issued_at_ms: int
    used_at_ms: int | None


class CreateAccount(Command[Account], frozen=True, kw_only=True):
    name: str
    #: SHA-256 of the API key, hex.
    key_hash: str


class ListAccounts(Command[list[Account]], frozen=True, kw_only=True):
    """Lists accounts, oldest first, after the account with the number `after`."""

    after: int = 0
    limit: int = 50


class Authenticate(Command[Account | None], frozen=True, kw_only=True):
    """Finds the account of an API key. `key_hash` is the SHA-256 of the key, hex."""

    key_hash: str


class IssueApiKey(Command[ApiKey], frozen=True, kw_only=True):
    """Adds an API key. `key_hash` is the SHA-256 of the key, hex."""

    account: Account
    name: str
    key_hash: str


class ListApiKeys(Command[list[ApiKey]], frozen=True, kw_only=True):
    """Lists keys, newest first, without revoked ones."""

    account: Account


class RevokeApiKey(Command[None], frozen=True, kw_only=True):
    """Revokes an API key. Front ends that have cached it accept it for some seconds more."""

    account: Account
    key_id: str
