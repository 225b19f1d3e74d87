"""Event handlers: list and show recorded events, with their deliveries."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

import msgspec

from actors.application.context import CommandService
from actors.application.next_attempts import with_plan
from actors.commands.command import Page
from actors.commands.deliveries import CountDeliveries, DeliveryCount, EventDelivery, ListEventDeliveries
from actors.commands.events import EventMail, EventView, GetEvent, GetEventMail, ListEvents
from actors.commands.handlers import HandlerTable
from actors.ledger.reader import LedgerReader
from domain.errors import NotFound
from domain.ledger import domain_events
from domain.tracking_event import TrackingEventRecorded
from domain.values import id_uuid

#: Maximum number of deliveries listed for one event.
MAX_EVENT_DELIVERIES: Final = 200


class EventService(CommandService):
    """Handles commands about events."""

    handlers = HandlerTable()

    @handlers.add(ListEvents)
    async def list_events(self, command: ListEvents) -> Page[EventView]:
        return await asyncio.to_thread(self._reader.list_events, command)

    @handlers.add(GetEvent)
    async def get_event(self, command: GetEvent) -> EventView:
        return await self._find(command)

    @handlers.add(GetEventMail)
    async def get_event_mail(self, command: GetEventMail) -> EventMail:
        """The returned mail of an event."""
        event = await self._find(command)
        mime = await asyncio.to_thread(self._reader.kept_mail, UUID(event.id.removeprefix("evt_")).bytes)
        if mime is None:
            raise NotFound(f"no returned mail is stored with event {command.event_id}")
        return EventMail(mime=mime)

    @handlers.add(CountDeliveries)
    async def count_deliveries(self, command: CountDeliveries) -> list[DeliveryCount]:
        """The number of deliveries of each event, by state."""
        uuids = [id_uuid("evt", event_id) for event_id in command.event_ids]
        event_ids = [uuid.bytes for uuid in uuids if uuid is not None]
        return await asyncio.to_thread(self._reader.delivery_counts, command.account.no, event_ids)

    @handlers.add(ListEventDeliveries)
    async def list_event_deliveries(self, command: ListEventDeliveries) -> list[EventDelivery]:
        """The deliveries of an event, with the ids of their loops."""
        event = await self._find(command)
        event_id = UUID(event.id.removeprefix("evt_")).bytes
        found = await asyncio.to_thread(
            self._reader.deliveries_of_event, command.account.no, event_id, MAX_EVENT_DELIVERIES
        )
        views = [await asyncio.to_thread(self._view, command.account.no, *each) for each in found]
        return [view for view in views if view is not None]

    def _view(self, account_no: int, delivery_no: int, loop_id: str) -> EventDelivery | None:
        found, loop = self._reader.delivery(account_no, delivery_no), self._reader.loop(loop_id)
        if found is None or loop is None:
            return None
        return EventDelivery(loop_id=loop_id, delivery=with_plan(found[1], loop, self._clock.now_ms()))

    async def _find(self, command: GetEvent | GetEventMail | ListEventDeliveries) -> EventView:
        recorded = await find_event(self._reader, command.event_id)
        if recorded is None or recorded.account_no != command.account.no:
            raise NotFound(f"there is no event {command.event_id} in this account")
        fields = msgspec.Raw(recorded.fields.encode())
        return EventView(id=command.event_id, type=recorded.type, time_ms=recorded.time_ms, fields=fields)


async def find_event(reader: LedgerReader, event_id: str) -> TrackingEventRecorded | None:
    """The recorded event, of any account; None if it does not exist or was erased."""
    event_uuid = id_uuid("evt", event_id)
    stored = await asyncio.to_thread(reader.events_of, event_uuid) if event_uuid else []
    events = domain_events(stored)
    return events[0] if events and isinstance(events[0], TrackingEventRecorded) else None
