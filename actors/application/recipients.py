"""Recipient handlers: export what is kept about a person, and count it."""

from __future__ import annotations

import asyncio

from actors.application.context import CommandService
from actors.commands.handlers import HandlerTable
from actors.commands.recipients import CountRecipient, ExportPage, ExportRecipient, RecipientCounts
from domain.errors import InvalidInput
from domain.values import email_problem


class RecipientService(CommandService):
    """Handles commands about people by their address."""

    handlers = HandlerTable()

    @handlers.add(ExportRecipient)
    async def export_recipient(self, command: ExportRecipient) -> ExportPage:
        """One page of the export; an unknown address has none.

        Raises:
            InvalidInput: the address is none, or the cursor is invalid.
        """
        _check(command.email)
        return await asyncio.to_thread(self._reader.export_page, command.account, command.email, command.cursor)

    @handlers.add(CountRecipient)
    async def count_recipient(self, command: CountRecipient) -> RecipientCounts:
        """How much is kept.

        Raises:
            InvalidInput: the address is none.
        """
        _check(command.email)
        return await asyncio.to_thread(self._reader.recipient_counts, command.account, command.email)


def _check(email: str) -> None:
    if problem := email_problem(email.strip()):
        raise InvalidInput.at("/email", problem)
