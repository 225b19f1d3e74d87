"""Recorder of events about changes of profiles: one transaction for change, events and deliveries, then the fan-out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eventsourcing.persistence import StoredEvent

from actors.enrichment.fan_out import offer_deliveries
from actors.enrichment.routing_index import MAX_PASSES, RoutingIndex
from actors.ledger.reader import LedgerReader
from actors.metrics.instruments import ProfileInstruments
from actors.ports import ChangeLedger, LoopNotifier
from domain.erasure import profile_event_key
from domain.errors import StaleRoutes
from domain.event_catalogue.triggers import Trigger
from domain.profile import Profile
from domain.profile_change import ProfileTimes, change_fields
from domain.tracking import EventToRecord, RoutingTable


class ProfileEvent(NamedTuple):
    """An event about a profile, without its loops."""

    event: EventToRecord
    database: str
    collection: str | None


def profile_event(
    event_id: bytes, trigger: Trigger, now_ms: int, profile: Profile, data: Mapping[str, Any]
) -> ProfileEvent:
    """The event about a change of a profile. `data`: the fields that depend on the trigger."""
    times = ProfileTimes(profile.created_at_ms, profile.modified_at_ms)
    fields = change_fields(event_id, trigger, now_ms, profile.key, times, data)
    event = EventToRecord(
        event_id=event_id,
        account_no=profile.account_no,
        type=trigger.value,
        message_key=profile_event_key(profile.id),
        first_key=None,
        time_ms=now_ms,
        fields=json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(),
        loop_nos=[],
    )
    return ProfileEvent(event, profile.database, profile.collection)


class EventRecorder:
    """Records changes of aggregates together with the events about them. For one event loop."""

    def __init__(
        self,
        ledger: ChangeLedger,
        reader: LedgerReader,
        loops: LoopNotifier,
        instruments: ProfileInstruments | None = None,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._loops = loops
        self._instruments = instruments or ProfileInstruments()
        self._routes = RoutingIndex(RoutingTable(-1, []))

    async def record(self, changes: Sequence[StoredEvent], events: Sequence[ProfileEvent]) -> None:
        """Appends the changes and records the events, each with one delivery for each loop, all or nothing.

        Raises:
            ConcurrentWrite: another request wrote first; nothing was written.
            StoreUnavailable: it is not known whether anything was written.
        """
        for _ in range(MAX_PASSES):
            if self._routes.version < 0:
                await self._load_routes()
            routes = self._routes
            routed = [_routed(each, routes) for each in events]
            try:
                recorded = await self._ledger.append_and_record(changes, routes.version, routed)
            except StaleRoutes:
                await self._load_routes()
                continue
            offer_deliveries(routed, recorded, routes, self._loops)
            self._instruments.recorded(routed, recorded)
            return
        raise RuntimeError(f"{MAX_PASSES} passes over one change, each overtaken")

    async def _load_routes(self) -> None:
        loaded = RoutingIndex(await asyncio.to_thread(self._reader.routing_table))
        if loaded.version > self._routes.version:  # of several loads at once, an older one may end last
            self._routes = loaded


def _routed(each: ProfileEvent, routes: RoutingIndex) -> EventToRecord:
    event = each.event
    return event._replace(loop_nos=routes.owed(event.account_no, event.type, (), each.database, each.collection))
