"""Delivery handlers: list, retry and replay deliveries, and rebuild the POST of an attempt.

Lists come from the ledger's read models. Only the process that runs the loop changes its deliveries.
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from actors.application.context import CommandService, Context
from actors.application.events import find_event
from actors.application.loops import LoopClient, owned_loop
from actors.application.next_attempts import with_plan
from actors.commands.command import Page
from actors.commands.deliveries import (
    CancelReplay,
    DeliveryView,
    EventDelivery,
    GetDelivery,
    GetLoopDelivery,
    GetPost,
    GetReplay,
    ListDeliveries,
    ListReplays,
    Post,
    Replay,
    RetryDelivery,
    StartReplay,
)
from actors.commands.handlers import HandlerTable
from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import EventTooLarge, RequestBuilder
from actors.ledger.event_encoding import is_erased_text
from actors.ledger.queries.filters import time_ms
from domain.aggregate import EventSourced
from domain.errors import Conflict, Erased, InvalidInput, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events
from domain.signing import loop_keys
from domain.values import id_number, id_uuid

#: What a replay can select.
WHICH: Final = ("dead", "missed", "all")


class DeliveryService(CommandService):
    """Handles commands about deliveries and replays."""

    handlers = HandlerTable()

    def __init__(self, context: Context, loops: LoopClient) -> None:
        super().__init__(context)
        self._loops = loops

    # --- deliveries

    @handlers.add(ListDeliveries)
    async def list_deliveries(self, command: ListDeliveries) -> Page[DeliveryView]:
        row = await owned_loop(self._reader, command.account, command.loop_id)
        page = await asyncio.to_thread(self._reader.list_deliveries, row.no, command)
        now_ms = self._clock.now_ms()
        return replace(page, data=[with_plan(delivery, row, now_ms) for delivery in page.data])

    @handlers.add(GetDelivery)
    async def get_delivery(self, command: GetDelivery) -> DeliveryView:
        return (await self._find_with_loop(command))[1]

    @handlers.add(GetLoopDelivery)
    async def get_loop_delivery(self, command: GetLoopDelivery) -> EventDelivery:
        """A delivery with the id of its loop."""
        loop_id, delivery = await self._find_with_loop(command)
        return EventDelivery(loop_id=loop_id, delivery=delivery)

    @handlers.add(RetryDelivery)
    async def retry_delivery(self, command: RetryDelivery) -> DeliveryView:
        """Makes a delivery due now. The returned one is pending, or has already been attempted."""
        loop_id, _ = await self._find_with_loop(command)
        await self._loops.call(loop_id, command)
        return (await self._find_with_loop(command))[1]

    async def _find_with_loop(
        self, command: GetDelivery | GetLoopDelivery | GetPost | RetryDelivery
    ) -> tuple[str, DeliveryView]:
        """The id of the delivery's loop, and the delivery."""
        loop_no, delivery = await self._find(command)
        loop = await asyncio.to_thread(self._reader.loop_by_no, loop_no)
        if loop is None:
            raise _no_delivery(command.delivery_id)
        return loop.id, with_plan(delivery, loop, self._clock.now_ms())

    async def _find(self, command: GetDelivery | GetLoopDelivery | GetPost | RetryDelivery) -> tuple[int, DeliveryView]:
        """The number of the delivery's loop, and the delivery."""
        number = id_number("dlv", command.delivery_id)
        found = None if number is None else await asyncio.to_thread(self._reader.delivery, command.account.no, number)
        if found is None:
            raise _no_delivery(command.delivery_id)
        return found

    # --- POSTs

    @handlers.add(GetPost)
    async def get_post(self, command: GetPost) -> Post:
        """The POST of one attempt, rebuilt from the ledger, without the values of the loop's own headers.

        Raises:
            Conflict: the attempt sent nothing, because the event was too large.
            Erased: it was about an erased person.
            NotFound: there is no such attempt, or the event or the loop is no longer stored.
        """
        loop_id, delivery = await self._find_with_loop(command)
        attempt = next((each for each in delivery.attempts if each.no == command.attempt_no), None)
        if attempt is None:
            raise NotFound(f"delivery {delivery.id} has no attempt {command.attempt_no}")
        event_uuid, loop_uuid = id_uuid("evt", delivery.event), id_uuid("fl", loop_id)
        recorded = await find_event(self._reader, delivery.event)
        loop = None if loop_uuid is None else await asyncio.to_thread(self._loop_at, loop_uuid, attempt.at_ms)
        if recorded is None or event_uuid is None or loop is None:
            raise NotFound("the event is no longer stored, so its POST cannot be shown")
        if is_erased_text(recorded.fields):
            raise Erased("the POST was about an erased person, so it cannot be shown")
        config = LaneConfig.of(loop_id, loop, loop_keys(self._keys(), loop_id), attempt.at_ms)
        builder = RequestBuilder(config.masked(), 0.0)
        try:
            mail = await asyncio.to_thread(self._reader.kept_mail, event_uuid.bytes)
            request = builder.build(event_uuid.bytes, recorded.fields.encode(), attempt.at_ms, mail)
        except EventTooLarge as exc:
            raise Conflict(f"nothing was POSTed: {exc}") from exc
        return Post(url=request.url, headers=request.headers, body=request.body.decode())

    def _loop_at(self, loop_id: UUID, at_ms: int) -> FeedbackLoop | None:
        """The state of the loop at a time, from the events until then."""
        events = domain_events(self._reader.events_of(loop_id))
        return FeedbackLoop.from_events(
            event for event in events if isinstance(event, EventSourced.Event) and event.at_ms <= at_ms
        )

    # --- replays

    @handlers.add(StartReplay)
    async def start_replay(self, command: StartReplay) -> Replay:
        """Starts a replay.

        Raises:
            Conflict: another replay of the loop is running.
            InvalidInput: the selection or the times are not valid.
        """
        row = await owned_loop(self._reader, command.account, command.loop_id)
        if command.which not in WHICH:
            raise InvalidInput.at("/state", f"must be one of {', '.join(WHICH)}")
        since_ms = time_ms(command.since_ms)
        until_ms = self._clock.now_ms() if command.until_ms is None else time_ms(command.until_ms)
        if since_ms >= until_ms:
            raise InvalidInput.at(
                "/since", "must be before now" if command.until_ms is None else "must be before `until`"
            )
        return await self._loops.call(row.id, replace(command, since_ms=since_ms, until_ms=until_ms))

    @handlers.add(ListReplays)
    async def list_replays(self, command: ListReplays) -> Page[Replay]:
        row = await owned_loop(self._reader, command.account, command.loop_id)
        return await asyncio.to_thread(self._reader.list_replays, row.no, command.limit, command.cursor)

    @handlers.add(GetReplay)
    async def get_replay(self, command: GetReplay) -> Replay:
        return await self._find_replay(command)

    async def _find_replay(self, command: GetReplay | CancelReplay) -> Replay:
        row = await owned_loop(self._reader, command.account, command.loop_id)
        number = id_number("rpl", command.replay_id)
        found = None if number is None else await asyncio.to_thread(self._reader.replay, row.no, number)
        if found is None:
            raise NotFound(f"there is no replay {command.replay_id} of feedback loop {command.loop_id}")
        return found

    @handlers.add(CancelReplay)
    async def cancel_replay(self, command: CancelReplay) -> Replay:
        await self._find_replay(command)
        return await self._loops.call(command.loop_id, command)


def _no_delivery(delivery_id: str) -> NotFound:
    return NotFound(f"there is no delivery {delivery_id} in this account")
