"""The application service's part about deliveries: listed, retried, replayed.

Lists come from the ledger's read models. What changes a delivery is asked of its loop's own actor.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from actors.commands.accounts import Account
from actors.commands.deliveries import (
    CancelReplay,
    DeliveryPage,
    DeliveryView,
    GetDelivery,
    GetReplay,
    ListDeliveries,
    ListReplays,
    Replay,
    ReplayPage,
    RetryDelivery,
    StartReplay,
)
from actors.ledger.port import LedgerReader, LoopRow
from actors.ledger.queries.filters import time_ms
from actors.ports import Clock
from domain.errors import InvalidInput, NotFound

T = TypeVar("T")

WHICH: Final = ("dead", "all")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")
#: What SQLite's integers hold.
_MAX_NUMBER: Final = 2**63 - 1


class Loops(Protocol):
    """The way to the loops' actors."""

    async def ask(self, loop_id: str, method: str, *args: Any) -> Any:
        """Calls the loop's actor, starting it if need be."""
        ...


class DeliveryService:
    """Handles commands about deliveries and replays. Stateless."""

    def __init__(
        self,
        reader: LedgerReader,
        loops: Loops,
        clock: Clock,
        own_row: Callable[[Account, str], Awaitable[LoopRow]],
    ) -> None:
        """`own_row` gives a loop of the account, or raises `NotFound`."""
        self._reader = reader
        self._loops = loops
        self._clock = clock
        self._own_row = own_row

    async def list_deliveries(self, command: ListDeliveries) -> DeliveryPage:
        row = await self._own_row(command.account, command.loop_id)
        return await _read(self._reader.list_deliveries, row.no, command)

    async def get_delivery(self, command: GetDelivery) -> DeliveryView:
        return (await self._own_delivery(command))[1]

    async def retry_delivery(self, command: RetryDelivery) -> DeliveryView:
        """Has the delivery retried, and gives it as it is then: pending and due, or further already."""
        loop_id, delivery = await self.delivery_of_loop(command)
        await self._loops.ask(loop_id, "retry_delivery", _number("dlv", delivery.id))
        return (await self._own_delivery(command))[1]

    async def delivery_of_loop(self, command: GetDelivery | RetryDelivery) -> tuple[str, DeliveryView]:
        """The id of its loop, and the delivery."""
        loop_no, delivery = await self._own_delivery(command)
        loop = await _read(self._reader.loop_by_no, loop_no)
        if loop is None:
            raise _no_delivery(command)
        return loop.id, delivery

    async def _own_delivery(self, command: GetDelivery | RetryDelivery) -> tuple[int, DeliveryView]:
        """The number of its loop, and the delivery."""
        number = _number("dlv", command.delivery_id)
        found = None if number is None else await _read(self._reader.delivery, command.account.no, number)
        if found is None:
            raise _no_delivery(command)
        return found

    async def start_replay(self, command: StartReplay) -> Replay:
        """Checks what is to be replayed, and has the loop's actor begin."""
        row = await self._own_row(command.account, command.loop_id)
        if command.which not in WHICH:
            raise _invalid("/state", f"must be one of {', '.join(WHICH)}")
        since_ms = time_ms(command.since_ms)
        until_ms = self._clock.now_ms() if command.until_ms is None else time_ms(command.until_ms)
        if since_ms >= until_ms:
            raise _invalid("/since", "must be before now" if command.until_ms is None else "must be before `until`")
        replay: Replay = await self._loops.ask(row.id, "replay", command.which, since_ms, until_ms)
        return replay

    async def list_replays(self, command: ListReplays) -> ReplayPage:
        row = await self._own_row(command.account, command.loop_id)
        return await _read(self._reader.list_replays, row.no, command.limit, command.cursor)

    async def get_replay(self, command: GetReplay | CancelReplay) -> Replay:
        row = await self._own_row(command.account, command.loop_id)
        number = _number("rpl", command.replay_id)
        found = None if number is None else await _read(self._reader.replay, row.no, number)
        if found is None:
            raise NotFound(f"there is no replay {command.replay_id} of feedback loop {command.loop_id}")
        return found

    async def cancel_replay(self, command: CancelReplay) -> Replay:
        found = await self.get_replay(command)
        cancelled: Replay = await self._loops.ask(command.loop_id, "cancel_replay", _number("rpl", found.id))
        return cancelled


def _number(prefix: str, text: str) -> int | None:
    """The number in an id such as `dlv_12`; None when it is no such id."""
    digits = text.removeprefix(f"{prefix}_")
    if digits == text or not _NUMBER.fullmatch(digits) or int(digits) > _MAX_NUMBER:
        return None
    return int(digits)


def _no_delivery(command: GetDelivery | RetryDelivery) -> NotFound:
    return NotFound(f"there is no delivery {command.delivery_id} in this account")


def _invalid(pointer: str, problem: str) -> InvalidInput:
    return InvalidInput(f"{pointer[1:]} {problem}", [(pointer, problem)])


async def _read(look_up: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(look_up, *args)
