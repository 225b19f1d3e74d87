"""Feedback loop handlers: create and list loops, and forward commands to the process that runs the loop.

Only that process changes a loop. Lists come from the ledger's read models.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID, uuid4, uuid5

from msgspec.structs import replace

from actors.adapters.sealed_headers import HeaderSealer
from actors.application.context import CommandService, Context
from actors.application.next_attempts import with_backlog
from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.commands.handlers import HandlerTable
from actors.commands.loops import (
    ChangeLoop,
    CheckLoops,
    CreateLoop,
    DeleteLoop,
    GetLoop,
    GetSecret,
    ListLoops,
    Loop,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SampleResult,
    SendSample,
    VerificationReport,
    VerifyLoop,
)
from actors.ledger.loop_projection import LoopRow
from actors.ledger.reader import LedgerReader
from actors.ports import UrlCheck
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.signing import loop_keys, loop_secret, secret_text
from domain.values import id_text
from domain.verification import TOKEN_BYTES

R = TypeVar("R")

#: Commands that are forwarded to the process that runs the loop.
ForwardedCommand = ChangeLoop | DeleteLoop | GetSecret | PauseLoop | ResumeLoop | RotateSecret | SendSample | VerifyLoop

#: Loops per page when all loops of an account are read.
_PAGE: Final = 200


class LoopClient(Protocol):
    """Access to the processes that run the loops."""

    async def call(self, loop_id: str, command: Command[R]) -> R:
        """Sends the command to the loop's process and returns the answer. Starts the process if necessary."""
        ...

    async def begin(self, loop_id: str) -> None:
        """Requests the start of the loop's process, without waiting for it."""
        ...

    async def release(self, loop_id: str) -> None:
        """Ends the process of a deleted loop."""
        ...


class LoopService(CommandService):
    """Handles commands about feedback loops."""

    handlers = HandlerTable()

    def __init__(self, context: Context, loops: LoopClient, url_check: UrlCheck) -> None:
        super().__init__(context)
        self._loops = loops
        self._url_check = url_check

    @handlers.add(CreateLoop)
    async def create_loop(self, command: CreateLoop) -> Loop:
        """Creates a loop, or returns the one that the same seed created.

        Raises:
            Conflict: the loop of this seed was deleted.
            InvalidInput: a setting is not valid, or the URL's address is not allowed.
        """
        await self._url_check.check_url(command.url)
        account = command.account
        loop_uuid = uuid5(UUID(account.id.removeprefix("acc_")), f"loop/{command.seed}") if command.seed else uuid4()
        loop_id = id_text("fl", loop_uuid)
        row = await asyncio.to_thread(self._reader.loop, loop_id)
        if row is not None and row.deleted:
            raise Conflict("the feedback loop made with this Idempotency-Key was deleted; use a new key for a new one")
        if row is None:
            try:
                await self._register(loop_uuid, command)
            except ConcurrentWrite:
                if command.seed is None:
                    raise
                # The same request, sent twice at once, created the loop.
            await self._loops.begin(loop_id)
            row = await owned_loop(self._reader, account, loop_id)
        return _view(row, await self._first_secret(loop_uuid))

    async def _first_secret(self, loop_uuid: UUID) -> str:
        loop = await self._aggregates.load(FeedbackLoop, loop_uuid)
        if loop is None:
            raise NotFound("there is no such feedback loop")
        keys = loop_keys(self._keys(), id_text("fl", loop_uuid))
        return secret_text(loop_secret(keys, loop.secrets.key_id_of(1), 1))

    async def _register(self, loop_uuid: UUID, command: CreateLoop) -> None:
        loop_id = id_text("fl", loop_uuid)
        keys = loop_keys(self._keys(), loop_id)
        sealer = HeaderSealer(keys, loop_id)
        headers = sealer.sealed(command.settings.headers, {}, self._random_bytes)
        loop = FeedbackLoop.register(
            loop_id=loop_uuid,
            account_no=command.account.no,
            account_id=command.account.id,
            url=command.url,
            settings=command.settings.replaced({"headers": headers}),
            verification_token=self._random_bytes(TOKEN_BYTES).hex(),
            key_id=keys.signing,
            at_ms=self._clock.now_ms(),
        )
        await self._aggregates.save(loop)

    @handlers.add(ListLoops)
    async def list_loops(self, command: ListLoops) -> Page[Loop]:
        return await asyncio.to_thread(self._list_loops, command)

    def _list_loops(self, command: ListLoops) -> Page[Loop]:
        page = self._reader.list_loops(command.account.no, command.limit, command.cursor)
        now_ms = self._clock.now_ms()
        data = [with_backlog(loop, loop.no, self._reader, now_ms) for loop in page.data]
        return Page(data=[_view(loop) for loop in data], next=page.next)

    @handlers.add(GetLoop)
    async def get_loop(self, command: GetLoop) -> Loop:
        row = await owned_loop(self._reader, command.account, command.loop_id)
        return await self._with_backlog(_view(row), row.no)

    async def _with_backlog(self, loop: Loop, loop_no: int) -> Loop:
        return await asyncio.to_thread(with_backlog, loop, loop_no, self._reader, self._clock.now_ms())

    @handlers.add(ChangeLoop, GetSecret, PauseLoop, ResumeLoop, RotateSecret, SendSample, VerifyLoop)
    async def forward(self, command: ForwardedCommand) -> Any:
        """Forwards the command to the loop's process.

        Raises:
            NotFound: the account has no such loop.
        """
        row = await owned_loop(self._reader, command.account, command.loop_id)
        answer: Any = await self._loops.call(command.loop_id, command)
        if isinstance(answer, Loop):
            return await self._with_backlog(answer, row.no)
        if isinstance(answer, VerificationReport):
            return replace(answer, loop=await self._with_backlog(answer.loop, row.no))
        return answer

    @handlers.add(DeleteLoop)
    async def delete_loop(self, command: DeleteLoop) -> None:
        await self.forward(command)
        await self._loops.release(command.loop_id)

    @handlers.add(CheckLoops)
    async def check_loops(self, command: CheckLoops) -> list[SampleResult]:
        """Sends a sample to every active loop of the account."""
        active: list[Loop] = []
        cursor: str | None = None
        while True:
            page = await asyncio.to_thread(self._reader.list_loops, command.account.no, _PAGE, cursor)
            active += [loop for loop in page.data if loop.state == "active"]
            if (cursor := page.next) is None:
                break
        return list(await asyncio.gather(*(self._check_one(command.account, loop) for loop in active)))

    async def _check_one(self, account: Account, loop: Loop) -> SampleResult:
        sample = SendSample(account=account, loop_id=loop.id, type=loop.settings.triggers[0])
        try:
            return await self._loops.call(loop.id, sample)
        except FeedbackLoopsError as exc:  # one failing loop must not hide the results of the others
            return SampleResult(loop_id=loop.id, status=None, duration_ms=0, response_excerpt="", error=str(exc))


async def owned_loop(reader: LedgerReader, account: Account, loop_id: str) -> LoopRow:
    """The loop's read model.

    Raises:
        NotFound: the account has no such loop.
    """
    row = await asyncio.to_thread(reader.loop, loop_id)
    if row is None or row.deleted or row.account_no != account.no:
        raise NotFound(f"there is no feedback loop {loop_id} in this account")
    return row


def _view(row: LoopRow, secret: str | None = None) -> Loop:
    """The part of a row that the loop's owner sees."""
    return Loop(**({name: getattr(row, name) for name in Loop.__struct_fields__} | {"secret": secret}))
