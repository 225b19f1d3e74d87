"""The application service: carries each command of `actors.commands` out.

Reads come from the ledger's read models. A change of a loop is asked of the loop's own actor, which alone makes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4, uuid5

from actors.application.access import AccessService, Passwords
from actors.application.access import Ledger as AccessLedger
from actors.application.deliveries import DeliveryService
from actors.application.messages import Registrar
from actors.application.statistics import FiguresService
from actors.commands import accounts as account_commands
from actors.commands.accounts import CreateAccount
from actors.commands.command import Command
from actors.commands.deliveries import (
    CancelReplay,
    GetDelivery,
    GetReplay,
    ListDeliveries,
    ListReplays,
    RetryDelivery,
    StartReplay,
)
from actors.commands.events import ListEvents
from actors.commands.loops import (
    ChangeLoop,
    CheckLoops,
    CreateLoop,
    DeleteLoop,
    GetLoop,
    GetSecret,
    ListLoops,
    Loop,
    LoopPage,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SampleResult,
    SendSample,
    VerifyLoop,
)
from actors.commands.messages import GetMessage, GetProfile, MessageView, Profile, PutProfile, RegisterMessages
from actors.commands.metrics import ReadMetrics, Snapshot
from actors.commands.service import (
    CheckReadiness,
    ClaimKey,
    ClusterInventory,
    KeepAnswer,
    ReadClusterInventory,
    Readiness,
    StoredAnswer,
)
from actors.ledger.port import LedgerReader, LoopRow
from actors.ports import Clock, UrlCheck
from domain.account import Account
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import event_mapper
from domain.signing import loop_secret, secret_text
from domain.values import id_text

T = TypeVar("T")


class IdempotencyKeys(Protocol):
    """Requests' keys and the answers they got."""

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None: ...
    async def keep_answer(self, command: KeepAnswer) -> None: ...


class Loops(Protocol):
    """The way to the loops' actors."""

    async def ask(self, loop_id: str, method: str, *args: Any) -> Any:
        """Calls the loop's actor, starting it if need be."""
        ...

    async def begin(self, loop_id: str) -> None:
        """Has the loop's actor started, and does not wait for it."""
        ...

    async def release(self, loop_id: str) -> None:
        """Has a deleted loop's actor ended."""
        ...


class Service:
    """Handles commands. Stateless: any number of them work side by side on one ledger."""

    def __init__(
        self,
        *,
        ledger: AccessLedger,
        keys: IdempotencyKeys,
        reader: LedgerReader,
        loops: Loops,
        url_check: UrlCheck,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        passwords: Passwords,
        master_key: bytes,
        problems: Callable[[], Awaitable[list[str]]],
        metrics: Callable[[], Awaitable[Snapshot]],
        cluster_inventory: Callable[[], Awaitable[ClusterInventory]],
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._loops = loops
        self._url_check = url_check
        self._clock = clock
        self._random_bytes = random_bytes
        self._master_key = master_key
        self._problems = problems
        self._metrics = metrics
        self._cluster_inventory = cluster_inventory
        self._mapper = event_mapper()
        self._registrar = Registrar(ledger, reader, clock, random_bytes)
        access = AccessService(ledger, reader, clock, random_bytes, passwords, master_key)
        deliveries = DeliveryService(reader, loops, clock, self._own_row)
        figures = FiguresService(reader, clock, master_key, self._own_row, deliveries)
        self._handlers: dict[type[Command[Any]], Callable[[Any], Awaitable[Any]]] = {
            CreateAccount: self._create_account,
            **access.handlers(),
            CreateLoop: self._create_loop,
            ListLoops: self._list_loops,
            GetLoop: self._get_loop,
            ChangeLoop: lambda x: self._ask_loop(x, "change", x.changes),
            DeleteLoop: self._delete_loop,
            VerifyLoop: lambda x: self._ask_loop(x, "verify"),
            PauseLoop: lambda x: self._ask_loop(x, "pause"),
            ResumeLoop: lambda x: self._ask_loop(x, "resume"),
            RotateSecret: lambda x: self._ask_loop(x, "rotate_secret"),
            GetSecret: self._get_secret,
            SendSample: lambda x: self._ask_loop(x, "send_sample", x.type, x.data),
            CheckLoops: self._check_loops,
            ListDeliveries: deliveries.list_deliveries,
            GetDelivery: deliveries.get_delivery,
            RetryDelivery: deliveries.retry_delivery,
            StartReplay: deliveries.start_replay,
            ListReplays: deliveries.list_replays,
            GetReplay: deliveries.get_replay,
            CancelReplay: deliveries.cancel_replay,
            **figures.handlers(),
            RegisterMessages: self._registrar.register_messages,
            GetMessage: self._get_message,
            PutProfile: self._registrar.put_profile,
            GetProfile: self._get_profile,
            ListEvents: lambda x: self._read(self._reader.list_events, x),
            ClaimKey: keys.claim_key,
            KeepAnswer: keys.keep_answer,
            CheckReadiness: self._check_readiness,
            ReadMetrics: lambda _: self._metrics(),
            ReadClusterInventory: lambda _: self._cluster_inventory(),
        }

    async def handle(self, command: Command[Any]) -> Any:
        """Carries the command out and gives its answer. Raises errors of `domain.errors`."""
        return await self._handlers[type(command)](command)

    async def _read(self, look_up: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(look_up, *args)

    # --- accounts

    async def _create_account(self, command: CreateAccount) -> account_commands.Account:
        account_id = uuid4()
        account = Account.open(account_id, command.name, self._clock.now_ms())
        account.issue_api_key(command.key_hash, self._clock.now_ms())
        await self._ledger.append([self._mapper.to_stored_event(e) for e in account.collect_events()])
        made = await self._read(self._reader.account_by_key, command.key_hash)
        if made is None:
            raise NotFound("the account was made, and is gone already")
        return made

    # --- feedback loops

    async def _create_loop(self, command: CreateLoop) -> Loop:
        await self._url_check.check_url(command.url)
        account = command.account
        loop_uuid = uuid5(UUID(account.id.removeprefix("acc_")), f"loop/{command.seed}") if command.seed else uuid4()
        loop_id = id_text("fl", loop_uuid)
        row = await self._read(self._reader.loop, loop_id)
        if row is not None and row.deleted:
            raise Conflict("the feedback loop made with this Idempotency-Key was deleted; use a new key for a new one")
        if row is None:
            try:
                await self._register_loop(loop_uuid, command)
            except ConcurrentWrite:
                if command.seed is None:
                    raise
                # The same request, sent twice at once, has made it.
            await self._loops.begin(loop_id)
            row = await self._own_row(account, loop_id)
        return _view(row, secret_text(loop_secret(self._master_key, loop_id, 1)))

    async def _register_loop(self, loop_uuid: UUID, command: CreateLoop) -> None:
        loop = FeedbackLoop.register(
            loop_id=loop_uuid,
            account_no=command.account.no,
            account_id=command.account.id,
            url=command.url,
            settings=command.settings,
            verification_token=self._random_bytes(16).hex(),
            at_ms=self._clock.now_ms(),
        )
        await self._ledger.append([self._mapper.to_stored_event(e) for e in loop.collect_events()])

    async def _list_loops(self, command: ListLoops) -> LoopPage:
        return await self._read(self._reader.list_loops, command.account.no, command.limit, command.cursor)

    async def _own_row(self, account: account_commands.Account, loop_id: str) -> LoopRow:
        row = await self._read(self._reader.loop, loop_id)
        if row is None or row.deleted or row.account_no != account.no:
            raise NotFound(f"there is no feedback loop {loop_id} in this account")
        return row

    async def _get_loop(self, command: GetLoop) -> Loop:
        return _view(await self._own_row(command.account, command.loop_id))

    async def _ask_loop(self, command: Any, method: str, *args: Any) -> Any:
        await self._own_row(command.account, command.loop_id)
        return await self._loops.ask(command.loop_id, method, *args)

    async def _delete_loop(self, command: DeleteLoop) -> None:
        await self._ask_loop(command, "delete")
        await self._loops.release(command.loop_id)

    async def _get_secret(self, command: GetSecret) -> str:
        secret: str = await self._ask_loop(command, "secret")
        return secret

    async def _check_loops(self, command: CheckLoops) -> list[SampleResult]:
        active: list[Loop] = []
        cursor: str | None = None
        while True:
            page = await self._read(self._reader.list_loops, command.account.no, 200, cursor)
            active += [loop for loop in page.data if loop.state == "active"]
            if (cursor := page.next) is None:
                break
        return list(await asyncio.gather(*map(self._check_one, active)))

    async def _check_one(self, loop: Loop) -> SampleResult:
        try:
            result: SampleResult = await self._loops.ask(loop.id, "send_sample", loop.settings.triggers[0], {})
        except FeedbackLoopsError as exc:  # one loop's trouble must not hide how the others are
            return SampleResult(loop_id=loop.id, status=None, duration_ms=0, response_excerpt="", error=str(exc))
        return result

    # --- messages, profiles

    async def _get_message(self, command: GetMessage) -> MessageView:
        message = await self._read(self._reader.message, command.account.no, command.message_id)
        if message is None:
            raise NotFound(f"there is no message {command.message_id} in this account")
        return message

    async def _get_profile(self, command: GetProfile) -> Profile:
        found = await self._read(self._reader.profile, command.account.no, command.database, command.profile_id)
        if found is None:
            raise NotFound(f"there is no profile {command.profile_id} in database {command.database} of this account")
        return found

    async def _check_readiness(self, _command: CheckReadiness) -> Readiness:
        return Readiness(problems=await self._problems())


def _view(row: LoopRow, secret: str | None = None) -> Loop:
    """What its owner sees of a row."""
    return Loop(**({name: getattr(row, name) for name in Loop.__struct_fields__} | {"secret": secret}))
