"""Event handlers: list and show recorded events, with their deliveries."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

import msgspec

from actors.application.context import CommandService
from actors.commands.command import Page
from actors.commands.deliveries import EventDelivery, ListEventDeliveries
from actors.commands.events import EventView, GetEvent, ListEvents
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

    @handlers.add(ListEventDeliveries)
    async def list_event_deliveries(self, command: ListEventDeliveries) -> list[EventDelivery]:
        """The deliveries of an event, with the ids of their loops."""
        event = await self._find(command)
        event_id = UUID(event.id.removeprefix("evt_")).bytes
        found = await asyncio.to_thread(
            self._reader.deliveries_of_event, command.account.no, event_id, MAX_EVENT_DELIVERIES
        )
        views = [await asyncio.to_thread(self._reader.delivery, command.account.no, number) for number, _ in found]
        return [
            EventDelivery(loop_id=loop_id, delivery=view[1])
            for (_, loop_id), view in zip(found, views, strict=True)
            if view is not None
        ]

    async def _find(self, command: GetEvent | ListEventDeliveries) -> EventView:
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
