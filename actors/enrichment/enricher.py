"""Enrichment: turns hits into events, decides which loops are owed them, has both recorded, and fans out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from actors.enrichment.routing_index import RouteIndex
from actors.ledger.port import LedgerReader
from actors.metrics.instruments import EnrichmentFigures
from actors.ports import Lanes, LedgerWriter
from actors.tracing.spans import Span, Traces
from domain.bots import bot_reason
from domain.delivery import OfferedDelivery
from domain.enrichment import event_fields, first_key
from domain.errors import FirstTaken, StaleRoutes
from domain.tracking import EventToRecord, RecordedEvents, RoutingTable, TrackingHit
from domain.values import id_text

log = logging.getLogger(__name__)

#: Each pass loses only to somebody else's progress; this many in a row means that something is broken.
MAX_PASSES: Final = 50

_encode = msgspec.json.Encoder().encode


class Enricher:
    """Carries batches of hits into the ledger and to the loops. Batches may overlap; each is all or nothing.

    When `record_hits` returns, every hit is an event in the ledger, with one delivery for each loop that was subscribed
    when it was written, or its message is not known. A batch that was recorded before changes nothing, and loops that
    may have missed it are told to look into the outbox.
    """

    def __init__(
        self,
        ledger: LedgerWriter,
        reader: LedgerReader,
        lanes: Lanes,
        figures: EnrichmentFigures | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._lanes = lanes
        self._figures = figures or EnrichmentFigures()
        self._traces = traces
        self._routes = RouteIndex(RoutingTable(-1, []))

    async def record_hits(self, hits: Sequence[TrackingHit]) -> None:
        """Enriches, records and fans out.

        Raises:
            StoreUnavailable: the hits may or may not have been recorded; send them again.
        """
        self._figures.batch.observe(len(hits))
        for _ in range(MAX_PASSES):
            began_ns = time.time_ns()
            events = self._enrich(hits)
            if not events:
                return
            enriched_ns = time.time_ns()
            try:
                recorded = await self._ledger.record_events(self._routes.version, events)
            except StaleRoutes:
                self._load_routes()
            except FirstTaken:
                continue
            else:
                self._fan_out(events, recorded)
                recorded_ns = time.time_ns()
                self._figures.recorded(events, recorded, recorded_ns // 1_000_000)
                if self._traces is not None:
                    self._trace(self._traces, events, began_ns, enriched_ns, recorded_ns)
                return
        raise RuntimeError(f"{MAX_PASSES} passes over one batch, each overtaken")

    def _trace(
        self, traces: Traces, events: Sequence[EventToRecord], began_ns: int, enriched_ns: int, recorded_ns: int
    ) -> None:
        """A batch was enriched and recorded: each of its events has these times for its own."""
        batch = {"feedback_loops.batch": len(events)}
        for event in events:
            if traces.wants(event.event_id):
                about = batch | {"feedback_loops.deliveries": len(event.loop_nos)}
                traces.add(Span(event.event_id, "enrich", began_ns, enriched_ns, batch))
                traces.add(Span(event.event_id, "record", enriched_ns, recorded_ns, about))

    def _load_routes(self) -> None:
        self._routes = RouteIndex(self._reader.routing_table())

    def _enrich(self, hits: Sequence[TrackingHit]) -> list[EventToRecord]:
        if self._routes.version < 0:
            self._load_routes()
        messages = self._reader.messages({h.message_key for h in hits})
        profiles = self._reader.profiles(
            {(m.account_no, m.database, m.profile) for m in messages.values() if m.database and m.profile}
        )
        firsts = [first_key(h.kind, h.target) for h in hits]
        taken = self._reader.taken_firsts(
            {(h.message_key, f) for h, f in zip(hits, firsts, strict=True) if f is not None}
        )
        events = []
        for hit, first in zip(hits, firsts, strict=True):
            message = messages.get(hit.message_key)
            if message is None or message.account_no != hit.account_no:
                self._note_unknown(hit)
                continue
            is_first = first is not None and (hit.message_key, first) not in taken
            if first is not None:
                taken.add((hit.message_key, first))
            profile = profiles.get((message.account_no, message.database or "", message.profile or ""))
            bot = bot_reason(hit.useragent, hit.purpose) if first is not None else None
            fields = event_fields(hit, message, profile, is_first, bot)
            events.append(
                EventToRecord(
                    event_id=hit.event_id,
                    account_no=hit.account_no,
                    type=hit.kind,
                    message_key=hit.message_key,
                    first_key=first if is_first else None,
                    time_ms=hit.time_ms,
                    fields=_encode(fields),
                    loop_nos=self._routes.owed(hit.account_no, hit.kind, message.tags, message.database),
                )
            )
        return events

    def _note_unknown(self, hit: TrackingHit) -> None:
        # Erased, or of another installation's back-up.
        self._figures.unknown.value += 1
        log.warning(
            "a hit's message is not in the ledger",
            extra={"action": "hit_unknown", "event_id": id_text("evt", hit.event_id), "kind": hit.kind},
        )

    def _fan_out(self, events: Sequence[EventToRecord], recorded: RecordedEvents) -> None:
        offers: dict[int, list[OfferedDelivery]] = {}
        for event, delivery_ids in zip(events, recorded.delivery_ids, strict=True):
            for loop_no, delivery_id in zip(event.loop_nos, delivery_ids, strict=False):
                offers.setdefault(loop_no, []).append(
                    OfferedDelivery(delivery_id, event.event_id, event.type, event.fields, 0, event.time_ms)
                )
        for loop_no, deliveries in offers.items():
            if loop_id := self._routes.loop_id(loop_no):  # else it was deleted meanwhile
                self._lanes.offer(loop_id, deliveries)
        if recorded.duplicates:
            self._nudge([events[n].event_id for n in recorded.duplicates])

    def _nudge(self, event_ids: Sequence[bytes]) -> None:
        for loop_no in self._reader.loops_owed(event_ids):
            if loop_id := self._routes.loop_id(loop_no):
                self._lanes.nudge(loop_id)
