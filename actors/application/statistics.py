"""The application service's part about what is shown of traffic: counts by the minute, and what went over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.application.deliveries import DeliveryService
from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.deliveries import EventDelivery, GetDelivery, GetLoopDelivery, GetPost, ListEventDeliveries, Post
from actors.commands.events import EventView, GetEvent
from actors.commands.statistics import (
    AttemptMinute,
    EventMinute,
    ListAttemptMinutes,
    ListEventMinutes,
    ListStatistics,
    LoopStatistics,
)
from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import EventTooLarge, RequestBuilder
from actors.ledger.port import LedgerReader, LoopRow
from actors.ports import Clock
from domain.aggregate import EventSourced
from domain.errors import Conflict, NotFound
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, event_mapper
from domain.statistics import KEPT_MINUTES, MINUTE_MS
from domain.tracking_event import TrackingEventRecorded
from domain.values import id_uuid

T = TypeVar("T")

#: How far a backlog is counted.
MAX_COUNTED: Final = 100_000
MAX_EVENT_DELIVERIES: Final = 200


class FiguresService:
    """Handles commands about figures. Stateless."""

    def __init__(
        self,
        reader: LedgerReader,
        clock: Clock,
        master_key: bytes,
        own_row: Callable[[Account, str], Awaitable[LoopRow]],
        deliveries: DeliveryService,
    ) -> None:
        """`own_row` gives a loop of the account, or raises `NotFound`."""
        self._reader = reader
        self._clock = clock
        self._master_key = master_key
        self._own_row = own_row
        self._deliveries = deliveries
        self._mapper = event_mapper()

    def handlers(self) -> dict[type[Command[Any]], Callable[[Any], Awaitable[Any]]]:
        """Each command that is carried out here, and what does it."""
        return {
            ListStatistics: self.list_figures,
            ListAttemptMinutes: self.list_attempt_minutes,
            ListEventMinutes: self.list_event_minutes,
            GetLoopDelivery: self.get_loop_delivery,
            GetPost: self.get_post,
            GetEvent: self.get_event,
            ListEventDeliveries: self.list_event_deliveries,
        }

    async def list_figures(self, command: ListStatistics) -> list[LoopStatistics]:
        """How each of the loops does."""
        rows = [await self._own_row(command.account, loop_id) for loop_id in command.loop_ids]
        since = self._since(command.minutes)
        return await asyncio.to_thread(lambda: [self._figures(row, since) for row in rows])

    def _figures(self, row: LoopRow, since: int) -> LoopStatistics:
        return LoopStatistics(
            loop_id=row.id,
            counts=self._reader.attempts_since(row.no, since),
            backlog=self._reader.backlog(row.no, MAX_COUNTED),
            last_event_ms=self._reader.newest_delivery_ms(row.no),
        )

    async def list_attempt_minutes(self, command: ListAttemptMinutes) -> list[AttemptMinute]:
        """The loop's attempts, minute by minute."""
        row = await self._own_row(command.account, command.loop_id)
        return await _read(self._reader.attempt_minutes, row.no, self._since(command.minutes))

    async def list_event_minutes(self, command: ListEventMinutes) -> list[EventMinute]:
        """The account's events, minute by minute."""
        return await _read(self._reader.event_minutes, command.account.no, self._since(command.minutes))

    def _since(self, minutes: int) -> int:
        return self._clock.now_ms() // MINUTE_MS - min(minutes, KEPT_MINUTES) + 1

    # --- events and what was POSTed of them

    async def get_loop_delivery(self, command: GetLoopDelivery) -> EventDelivery:
        """A delivery, and which loop it is for."""
        wanted = GetDelivery(account=command.account, delivery_id=command.delivery_id)
        loop_id, delivery = await self._deliveries.delivery_of_loop(wanted)
        return EventDelivery(loop_id=loop_id, delivery=delivery)

    async def get_post(self, command: GetPost) -> Post:
        """The POST of one attempt, made again."""
        wanted = GetDelivery(account=command.account, delivery_id=command.delivery_id)
        loop_id, delivery = await self._deliveries.delivery_of_loop(wanted)
        attempt = next((a for a in delivery.attempts if a.no == command.attempt_no), None)
        if attempt is None:
            raise NotFound(f"delivery {delivery.id} has no attempt {command.attempt_no}")
        event_uuid = id_uuid("evt", delivery.event)
        recorded = self._recorded(await _read(self._reader.events_of, event_uuid))
        loop = await asyncio.to_thread(self._loop_at, loop_id, attempt.at_ms)
        if recorded is None or loop is None or event_uuid is None:
            raise NotFound("the event is not kept any more, so its POST cannot be shown")
        requests = RequestBuilder(LaneConfig.of(loop_id, loop, self._master_key, attempt.at_ms), 0.0)
        try:
            request = requests.build(event_uuid.bytes, recorded.fields.encode(), attempt.at_ms)
        except EventTooLarge as exc:
            raise Conflict(f"nothing was POSTed: {exc}") from exc
        return Post(url=request.url, headers=request.headers, body=request.body.decode())

    def _loop_at(self, loop_id: str, at_ms: int) -> FeedbackLoop | None:
        """The loop as it was then: its history up to that time."""
        events = domain_events(self._mapper, self._reader.events_of(_uuid("fl", loop_id)))
        return FeedbackLoop.from_events(
            event for event in events if isinstance(event, EventSourced.Event) and event.at_ms <= at_ms
        )

    def _recorded(self, stored: Sequence[StoredEvent]) -> TrackingEventRecorded | None:
        events = domain_events(self._mapper, stored)
        return events[0] if events and isinstance(events[0], TrackingEventRecorded) else None

    async def get_event(self, command: GetEvent) -> EventView:
        """One event of the account."""
        return await self._own_event(command)

    async def list_event_deliveries(self, command: ListEventDeliveries) -> list[EventDelivery]:
        """Where an event went."""
        event = await self._own_event(command)
        found = await _read(
            self._reader.deliveries_of_event, command.account.no, _uuid("evt", event.id).bytes, MAX_EVENT_DELIVERIES
        )
        views = [await _read(self._reader.delivery, command.account.no, number) for number, _ in found]
        return [
            EventDelivery(loop_id=loop_id, delivery=view[1])
            for (_, loop_id), view in zip(found, views, strict=True)
            if view is not None
        ]

    async def _own_event(self, command: GetEvent | ListEventDeliveries) -> EventView:
        event_uuid = id_uuid("evt", command.event_id)
        stored = await _read(self._reader.events_of, event_uuid) if event_uuid else []
        recorded = self._recorded(stored)
        if recorded is None or recorded.account_no != command.account.no:
            raise NotFound(f"there is no event {command.event_id} in this account")
        fields = msgspec.Raw(recorded.fields.encode())
        return EventView(id=command.event_id, type=recorded.type, time_ms=recorded.time_ms, fields=fields)


def _uuid(prefix: str, text: str) -> UUID:
    found = id_uuid(prefix, text)
    if found is None:
        raise NotFound(f"{text} is no id")
    return found


async def _read(look_up: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(look_up, *args)
