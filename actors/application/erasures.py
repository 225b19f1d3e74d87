"""Erasure handlers: start erasures, and show them."""

from __future__ import annotations

import asyncio

from actors.application.context import CommandService
from actors.commands.command import Page
from actors.commands.erasures import EraseRecipient, Erasure, GetErasure, ListErasures
from actors.commands.handlers import HandlerTable
from actors.ledger.erasure.port import RequestErasure
from actors.ledger.people import person_of
from domain.erasure import ALL_ACCOUNTS, person_digest
from domain.errors import InvalidInput, NotFound
from domain.values import email_problem


class ErasureService(CommandService):
    """Handles commands about erasures."""

    handlers = HandlerTable()

    @handlers.add(EraseRecipient)
    async def erase_recipient(self, command: EraseRecipient) -> Erasure:
        """Starts an erasure, whether anything is known about the person or not.

        Raises:
            InvalidInput: the address is none.
        """
        email = command.email.strip()
        if problem := email_problem(email):
            raise InvalidInput.at("/email", problem)
        person = person_of(email)
        key = await asyncio.to_thread(self._reader.digest_key)
        erasure_id = await self._ledger.change_erasures(
            RequestErasure(
                id=f"ers_{self._random_bytes(16).hex()}",
                account_no=ALL_ACCOUNTS if command.account is None else command.account.no,
                person=person,
                digest=person_digest(key, person),
                keep_opt_out=command.keep_opt_out,
            )
        )
        return await self._erasure(None, erasure_id)

    @handlers.add(GetErasure)
    async def get_erasure(self, command: GetErasure) -> Erasure:
        return await self._erasure(None if command.account is None else command.account.no, command.erasure_id)

    @handlers.add(ListErasures)
    async def list_erasures(self, command: ListErasures) -> Page[Erasure]:
        return await asyncio.to_thread(self._reader.list_erasures, command)

    async def _erasure(self, account_no: int | None, erasure_id: str) -> Erasure:
        found = await asyncio.to_thread(self._reader.erasure, account_no, erasure_id)
        if found is None:
            raise NotFound(f"there is no erasure {erasure_id} in this account")
        return found
