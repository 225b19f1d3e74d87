"""Enrichment actor's core: turns intake into events, has them recorded, and fans their deliveries out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from actors.commands.intake import Batch
from actors.enrichment.hits import Enriched, enrich_hits
from actors.enrichment.routing_index import RoutingIndex
from actors.ledger.reader import LedgerReader
from actors.metrics.instruments import EnrichmentInstruments
from actors.ports import LedgerWriter, LoopNotifier
from actors.tracing.spans import Span, Traces
from actors.version import VERSION
from domain.delivery import OfferedDelivery
from domain.errors import FirstTaken, StaleRoutes, UnknownIntake
from domain.tracking import EventToRecord, Intake, RecordedEvents, RoutingTable, TrackingHit
from domain.values import id_text

log = logging.getLogger(__name__)

#: Each pass loses only to another writer's progress; this many in a row mean that something is broken.
MAX_PASSES: Final = 50
#: The enrichment function of each kind of intake.
ENRICH: Final[dict[type[Intake], Callable[[Sequence[Any], LedgerReader, RoutingIndex], Enriched]]] = {
    TrackingHit: enrich_hits
}


class Enricher:
    """Carries batches of intake into the ledger and to the loops. Batches may overlap; each is all or nothing.

    When `record` returns, every entry is an event in the ledger, with one delivery for each loop that was subscribed
    when it was written, unless its message is not known. A batch that was recorded earlier changes nothing, and loops
    that may have missed it are nudged to look into the outbox.
    """

    def __init__(
        self,
        ledger: LedgerWriter,
        reader: LedgerReader,
        loops: LoopNotifier,
        instruments: EnrichmentInstruments | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._loops = loops
        self._instruments = instruments or EnrichmentInstruments()
        self._traces = traces
        self._routes = RoutingIndex(RoutingTable(-1, []))

    async def record(self, batch: Batch) -> None:
        """Enriches, records and fans out.

        Raises:
            StoreUnavailable: the entries may or may not have been recorded; send them again.
            UnknownIntake: all were recorded except those that only a newer version can read.
        """
        await self._record(batch.entries)
        if batch.unknown:
            raise UnknownIntake(
                f"version {VERSION} cannot read {len(batch.unknown)} entries, which a newer version wrote",
                batch.unknown,
            )

    async def _record(self, entries: Sequence[Intake]) -> None:
        self._instruments.batch.observe(len(entries))
        kinds = set(map(type, entries))
        by_kind = {kind: [entry for entry in entries if type(entry) is kind] for kind in kinds}
        for _ in range(MAX_PASSES):
            began_ns = time.time_ns()
            events = self._enrich(by_kind)
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
                self._instruments.recorded(events, recorded, recorded_ns // 1_000_000)
                if self._traces is not None:
                    self._trace(self._traces, events, began_ns, enriched_ns, recorded_ns)
                return
        raise RuntimeError(f"{MAX_PASSES} passes over one batch, each overtaken")

    def _trace(
        self, traces: Traces, events: Sequence[EventToRecord], began_ns: int, enriched_ns: int, recorded_ns: int
    ) -> None:
        """Adds the spans of a recorded batch: its events share the times."""
        batch = {"feedback_loops.batch": len(events)}
        for event in events:
            if traces.wants(event.event_id):
                about = batch | {"feedback_loops.deliveries": len(event.loop_nos)}
                traces.add(Span(event.event_id, "enrich", began_ns, enriched_ns, batch))
                traces.add(Span(event.event_id, "record", enriched_ns, recorded_ns, about))

    def _load_routes(self) -> None:
        self._routes = RoutingIndex(self._reader.routing_table())

    def _enrich(self, batch: Mapping[type[Intake], Sequence[Intake]]) -> list[EventToRecord]:
        if self._routes.version < 0:
            self._load_routes()
        events: list[EventToRecord] = []
        for kind, entries in batch.items():
            enriched = ENRICH[kind](entries, self._reader, self._routes)
            events += enriched.events
            for entry in enriched.unknown:
                self._note_unknown(entry)
        return events

    def _note_unknown(self, entry: Intake) -> None:
        self._instruments.unknown.value += 1
        log.warning(
            "the message of a hit is not in the ledger",
            extra={"action": "hit_unknown", "event_id": id_text("evt", entry.event_id), "kind": entry.kind},
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
                self._loops.offer(loop_id, deliveries)
        if recorded.duplicates:
            self._nudge([events[n].event_id for n in recorded.duplicates])

    def _nudge(self, event_ids: Sequence[bytes]) -> None:
        for loop_no in self._reader.loops_owed(event_ids):
            if loop_id := self._routes.loop_id(loop_no):
                self._loops.nudge(loop_id)
