"""Account handlers: accounts and their API keys."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from uuid import uuid4

from actors.application.context import CommandService
from actors.commands import accounts as commands
from actors.commands.accounts import (
    ApiKey,
    Authenticate,
    CreateAccount,
    IssueApiKey,
    ListAccounts,
    ListApiKeys,
    RevokeApiKey,
)
from actors.commands.handlers import HandlerTable
from actors.ledger.access.port import UseApiKey
from domain.account import Account
from domain.errors import FeedbackLoopsError, NotFound
from domain.sessions import is_use_due
from domain.values import id_uuid

#: Maximum number of API keys in a list.
MAX_LISTED: Final = 1000


class AccountService(CommandService):
    """Handles commands about accounts and API keys."""

    handlers = HandlerTable()

    @handlers.add(CreateAccount)
    async def create_account(self, command: CreateAccount) -> commands.Account:
        """Creates an account with its first API key."""
        account = Account.open(uuid4(), command.name, self._clock.now_ms())
        account.issue_api_key(command.key_hash, self._clock.now_ms())
        await self._aggregates.save(account)
        created = await asyncio.to_thread(self._reader.account_by_key, command.key_hash)
        if created is None:
            raise NotFound("the account was created, and its key was revoked at once")
        return created

    @handlers.add(ListAccounts)
    async def list_accounts(self, command: ListAccounts) -> list[commands.Account]:
        """Accounts, oldest first."""
        return await asyncio.to_thread(self._reader.accounts, command.after, command.limit)

    @handlers.add(Authenticate)
    async def authenticate(self, command: Authenticate) -> commands.Account | None:
        """The account of an API key. Records the use of the key about once a minute."""
        account = await asyncio.to_thread(self._reader.account_by_key, command.key_hash)
        if account is not None:
            used_ms = await asyncio.to_thread(self._reader.api_key_used_ms, command.key_hash)
            if is_use_due(used_ms, self._clock.now_ms()):
                # The key is valid, whether or not its use can be recorded now.
                with contextlib.suppress(FeedbackLoopsError):
                    await self._ledger.change_access(UseApiKey(hash=command.key_hash))
        return account

    @handlers.add(IssueApiKey)
    async def issue_api_key(self, command: IssueApiKey) -> ApiKey:
        """Adds an API key to an account."""

        def issue(account: Account) -> None:
            account.issue_api_key(command.key_hash, self._clock.now_ms(), command.name)

        await self._aggregates.change(Account, id_uuid("acc", command.account.id), issue)
        keys = await self.list_api_keys(ListApiKeys(account=command.account))
        return next(key for key in keys if key.id == _key_id(command.key_hash))

    @handlers.add(ListApiKeys)
    async def list_api_keys(self, command: ListApiKeys) -> list[ApiKey]:
        """The API keys of an account, newest first."""
        rows = await asyncio.to_thread(self._reader.api_keys, command.account.no, MAX_LISTED)
        return [
            ApiKey(id=_key_id(row.hash), name=row.name, issued_at_ms=row.issued_at_ms, used_at_ms=row.used_at_ms)
            for row in rows
        ]

    @handlers.add(RevokeApiKey)
    async def revoke_api_key(self, command: RevokeApiKey) -> None:
        """Revokes an API key.

        Raises:
            NotFound: the account has no such key.
        """
        rows = await asyncio.to_thread(self._reader.api_keys, command.account.no, MAX_LISTED)
        key_hash = next((row.hash for row in rows if _key_id(row.hash) == command.key_id), None)
        if key_hash is None:
            raise NotFound(f"there is no API key {command.key_id} in this account")

        def revoke(account: Account) -> None:
            account.revoke_api_key(key_hash, self._clock.now_ms())

        await self._aggregates.change(Account, id_uuid("acc", command.account.id), revoke)


def _key_id(key_hash: str) -> str:
    return f"key_{key_hash[:16]}"
