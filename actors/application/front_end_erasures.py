"""Handlers of front ends' commands about erasures."""

from __future__ import annotations

import asyncio

from actors.application.context import CommandService
from actors.commands.front_end_erasures import (
    ConfirmErasures,
    FindErasedMessages,
    FrontEndState,
    FrontEndWork,
    NoteFrontEndProblem,
    ReadFrontEndErasures,
    ReadFrontEnds,
    RepeatErasures,
)
from actors.commands.handlers import HandlerTable
from actors.ledger.erasure.port import ConfirmFrontEnd, FrontEndProblem


class FrontEndErasureService(CommandService):
    """Handles commands of front ends about erasures. All may raise `StoreUnavailable`."""

    handlers = HandlerTable()

    @handlers.add(ReadFrontEndErasures)
    async def read_work(self, command: ReadFrontEndErasures) -> FrontEndWork:
        return await asyncio.to_thread(
            self._reader.front_end_work, command.front_end, command.after, command.last_id, command.limit
        )

    @handlers.add(FindErasedMessages)
    async def find_erased(self, command: FindErasedMessages) -> list[int]:
        return await asyncio.to_thread(self._reader.erased_among, command.keys)

    @handlers.add(ConfirmErasures)
    async def confirm(self, command: ConfirmErasures) -> None:
        change = ConfirmFrontEnd(front_end=command.front_end, confirmed=command.confirmed, outside=command.outside)
        await self._ledger.change_erasures(change)

    @handlers.add(NoteFrontEndProblem)
    async def note_problem(self, command: NoteFrontEndProblem) -> None:
        await self._ledger.change_erasures(FrontEndProblem(front_end=command.front_end, problem=command.problem))

    @handlers.add(RepeatErasures)
    async def repeat(self, command: RepeatErasures) -> int:
        return await self._ledger.repeat_erasures(command.erasures)

    @handlers.add(ReadFrontEnds)
    async def read_front_ends(self, _command: ReadFrontEnds) -> list[FrontEndState]:
        return await asyncio.to_thread(self._reader.front_end_states)
