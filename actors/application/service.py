"""The application service: carries each command of `actors.commands` out.

Reads come from the ledger's read models. A change of a loop is asked of the loop's own actor, which alone makes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4, uuid5

from actors import commands as c
from actors.application.access import AccessService, Passwords
from actors.application.access import Ledger as AccessLedger
from actors.application.deliveries import DeliveryService
from actors.application.messages import Registrar
from actors.application.statistics import FiguresService
from actors.ledger.port import LedgerReader, LoopRow
from actors.metrics.cluster_inventory import Census
from actors.metrics.snapshots import Readings
from actors.ports import Clock
from domain.account import Account
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import event_mapper
from domain.signing import loop_secret, secret_text
from domain.values import id_text

T = TypeVar("T")


class IdempotencyKeys(Protocol):
    """Requests' keys and the answers they got."""

    async def claim_key(self, command: c.ClaimKey) -> c.StoredAnswer | None: ...
    async def keep_answer(self, command: c.KeepAnswer) -> None: ...


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


class UrlCheck(Protocol):
    """Whether a handler may have this URL."""

    async def check_url(self, url: str) -> None:
        """Raises InvalidInput (/url) when the address is not allowed; a name that does not resolve now is let pass."""
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
        metrics: Callable[[], Awaitable[Readings]],
        census: Callable[[], Awaitable[Census]],
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
        self._census = census
        self._mapper = event_mapper()
        self._registrar = Registrar(ledger, reader, clock, random_bytes)
        access = AccessService(ledger, reader, clock, random_bytes, passwords, master_key)
        deliveries = DeliveryService(reader, loops, clock, self._own_row)
        figures = FiguresService(reader, clock, master_key, self._own_row, deliveries)
        self._handlers: dict[type[c.Command[Any]], Callable[[Any], Awaitable[Any]]] = {
            c.CreateAccount: self._create_account,
            **access.handlers(),
            c.CreateLoop: self._create_loop,
            c.ListLoops: self._list_loops,
            c.GetLoop: self._get_loop,
            c.ChangeLoop: lambda x: self._ask_loop(x, "change", x.changes),
            c.DeleteLoop: self._delete_loop,
            c.VerifyLoop: lambda x: self._ask_loop(x, "verify"),
            c.PauseLoop: lambda x: self._ask_loop(x, "pause"),
            c.ResumeLoop: lambda x: self._ask_loop(x, "resume"),
            c.RotateSecret: lambda x: self._ask_loop(x, "rotate_secret"),
            c.GetSecret: self._get_secret,
            c.SendSample: lambda x: self._ask_loop(x, "send_sample", x.type, x.data),
            c.CheckLoops: self._check_loops,
            c.ListDeliveries: deliveries.list_deliveries,
            c.GetDelivery: deliveries.get_delivery,
            c.RetryDelivery: deliveries.retry_delivery,
            c.StartReplay: deliveries.start_replay,
            c.ListReplays: deliveries.list_replays,
            c.GetReplay: deliveries.get_replay,
            c.CancelReplay: deliveries.cancel_replay,
            **figures.handlers(),
            c.RegisterMessages: self._registrar.register_messages,
            c.GetMessage: self._get_message,
            c.PutProfile: self._registrar.put_profile,
            c.GetProfile: self._get_profile,
            c.ListEvents: lambda x: self._read(self._reader.list_events, x),
            c.ClaimKey: keys.claim_key,
            c.KeepAnswer: keys.keep_answer,
            c.CheckReadiness: self._check_readiness,
            c.ReadMetrics: lambda _: self._metrics(),
            c.ReadCensus: lambda _: self._census(),
        }

    async def handle(self, command: c.Command[Any]) -> Any:
        """Carries the command out and gives its answer. Raises errors of `domain.errors`."""
        return await self._handlers[type(command)](command)

    async def _read(self, look_up: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(look_up, *args)

    # --- accounts

    async def _create_account(self, command: c.CreateAccount) -> c.Account:
        account_id = uuid4()
        account = Account.open(account_id, command.name, self._clock.now_ms())
        account.issue_api_key(command.key_hash, self._clock.now_ms())
        await self._ledger.append([self._mapper.to_stored_event(e) for e in account.collect_events()])
        made = await self._read(self._reader.account_by_key, command.key_hash)
        if made is None:
            raise NotFound("the account was made, and is gone already")
        return made

    # --- feedback loops

    async def _create_loop(self, command: c.CreateLoop) -> c.Loop:
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

    async def _register_loop(self, loop_uuid: UUID, command: c.CreateLoop) -> None:
        loop = FeedbackLoop.register(
            loop_id=loop_uuid,
            account_no=command.account.no,
            account_id=command.account.id,
            url=command.url,
            triggers=command.triggers,
            format=command.format,
            tags=command.tags,
            databases=command.databases,
            collections=command.collections,
            rate_limit=command.rate_limit,
            max_concurrency=command.max_concurrency,
            ordered=command.ordered,
            signature=command.signature,
            description=command.description,
            verification_token=self._random_bytes(16).hex(),
            at_ms=self._clock.now_ms(),
        )
        await self._ledger.append([self._mapper.to_stored_event(e) for e in loop.collect_events()])

    async def _list_loops(self, command: c.ListLoops) -> c.LoopPage:
        return await self._read(self._reader.list_loops, command.account.no, command.limit, command.cursor)

    async def _own_row(self, account: c.Account, loop_id: str) -> LoopRow:
        row = await self._read(self._reader.loop, loop_id)
        if row is None or row.deleted or row.account_no != account.no:
            raise NotFound(f"there is no feedback loop {loop_id} in this account")
        return row

    async def _get_loop(self, command: c.GetLoop) -> c.Loop:
        return _view(await self._own_row(command.account, command.loop_id))

    async def _ask_loop(self, command: Any, method: str, *args: Any) -> Any:
        await self._own_row(command.account, command.loop_id)
        return await self._loops.ask(command.loop_id, method, *args)

    async def _delete_loop(self, command: c.DeleteLoop) -> None:
        await self._ask_loop(command, "delete")
        await self._loops.release(command.loop_id)

    async def _get_secret(self, command: c.GetSecret) -> str:
        secret: str = await self._ask_loop(command, "secret")
        return secret

    async def _check_loops(self, command: c.CheckLoops) -> list[c.SampleResult]:
        active: list[c.Loop] = []
        cursor: str | None = None
        while True:
            page = await self._read(self._reader.list_loops, command.account.no, 200, cursor)
            active += [loop for loop in page.data if loop.state == "active"]
            if (cursor := page.next) is None:
                break
        return list(await asyncio.gather(*map(self._check_one, active)))

    async def _check_one(self, loop: c.Loop) -> c.SampleResult:
        try:
            result: c.SampleResult = await self._loops.ask(loop.id, "send_sample", loop.triggers[0], {})
        except FeedbackLoopsError as exc:  # one loop's trouble must not hide how the others are
            return c.SampleResult(loop_id=loop.id, status=None, duration_ms=0, response_excerpt="", error=str(exc))
        return result

    # --- messages, profiles

    async def _get_message(self, command: c.GetMessage) -> c.MessageView:
        message = await self._read(self._reader.message, command.account.no, command.message_id)
        if message is None:
            raise NotFound(f"there is no message {command.message_id} in this account")
        return message

    async def _get_profile(self, command: c.GetProfile) -> c.Profile:
        found = await self._read(self._reader.profile, command.account.no, command.database, command.profile_id)
        if found is None:
            raise NotFound(f"there is no profile {command.profile_id} in database {command.database} of this account")
        return found

    async def _check_readiness(self, _command: c.CheckReadiness) -> c.Readiness:
        return c.Readiness(problems=await self._problems())


def _view(row: LoopRow, secret: str | None = None) -> c.Loop:
    """What its owner sees of a row."""
    return c.Loop(**({name: getattr(row, name) for name in c.Loop.__struct_fields__} | {"secret": secret}))
