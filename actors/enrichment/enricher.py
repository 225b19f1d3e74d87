"""Enrichment actor's core: turns intake into events, has them recorded, and fans their deliveries out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from actors.commands.intake import Batch
from actors.enrichment.fan_out import offer_deliveries
from actors.enrichment.hits import Enriched, enrich_hits
from actors.enrichment.mails import MailReader
from actors.enrichment.read_report import ReadReport
from actors.enrichment.reports import enrich_read_reports, enrich_reports
from actors.enrichment.routing_index import MAX_PASSES, RoutingIndex
from actors.ledger.erasure.port import ErasureChange, NoteOptOuts
from actors.ledger.reader import LedgerReader
from actors.metrics.instruments import EnrichmentInstruments
from actors.ports import LedgerWriter, LoopNotifier
from actors.tracing.spans import Span, Traces
from actors.version import VERSION
from domain.errors import FirstTaken, StaleRoutes, UnknownIntake
from domain.reports.intake import Report, ReturnedMailEntry
from domain.tracking import EventToRecord, Intake, RecordedEvents, RoutingTable, TrackingHit
from domain.values import id_text

log = logging.getLogger(__name__)

#: An entry that is ready to be enriched: a returned mail has been read.
Entry: TypeAlias = TrackingHit | Report | ReadReport

#: The enrichment function of each kind of intake.
ENRICH: Final[dict[type[Entry], Callable[[Sequence[Any], LedgerReader, RoutingIndex], Enriched]]] = {
    TrackingHit: enrich_hits,
    Report: enrich_reports,
    ReadReport: enrich_read_reports,
}


class EnrichmentLedger(LedgerWriter, Protocol):
    """The writes of enrichment."""

    async def change_erasures(self, change: ErasureChange) -> str:
        """See `ErasureLedger.change_erasures`."""
        ...


class Enricher:
    """Carries batches of intake into the ledger and to the loops. Batches may overlap; each is all or nothing.

    When `record` returns, every entry is an event in the ledger, with one delivery for each loop that was subscribed
    when it was written, unless its message is erased or not known. A batch that was recorded earlier changes nothing,
    and loops that may have missed it are nudged to look into the outbox.
    """

    def __init__(
        self,
        ledger: EnrichmentLedger,
        reader: LedgerReader,
        loops: LoopNotifier,
        mails: MailReader,
        instruments: EnrichmentInstruments | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._loops = loops
        self._mails = mails
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
        by_kind: dict[type[Any], Sequence[Any]] = {
            kind: [entry for entry in entries if type(entry) is kind] for kind in kinds
        }
        if mails := by_kind.pop(ReturnedMailEntry, None):
            by_kind[ReadReport] = [await self._mails.read(mail) for mail in mails if not self._is_lost(mail)]
        for _ in range(MAX_PASSES):
            began_ns = time.time_ns()
            enriched = self._enrich(by_kind)
            events, reports = enriched.events, enriched.reports
            if enriched.opt_outs:
                await self._ledger.change_erasures(NoteOptOuts(opt_outs=enriched.opt_outs))
            if not events and not reports:
                self._instruments.hits_erased.value += len(enriched.erased)
                return
            enriched_ns = time.time_ns()
            try:
                recorded = await self._ledger.record_events(self._routes.version, events, reports)
            except StaleRoutes:
                self._load_routes()
            except FirstTaken:
                continue
            else:
                recorded_ns = time.time_ns()
                self._instruments.hits_erased.value += len(enriched.erased)
                self._instruments.recorded(events, recorded, recorded_ns // 1_000_000)
                if reports:
                    self._instruments.reported(len(events), reports, recorded, recorded_ns // 1_000_000)
                    events += [event for report in reports for event in report.events]
                self._fan_out(events, recorded)
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

    def _is_lost(self, entry: ReturnedMailEntry) -> bool:
        """Whether the spool file of a mail is gone; counts the mail unless the ledger has it already."""
        if entry.mime:
            return False
        if not self._reader.has_digest(entry.digest):
            self._instruments.mails_lost.value += 1
            facts = {"action": "mail_lost", "event_id": id_text("rep", entry.event_id), "file": entry.spool}
            log.error("the spool file of a returned mail is gone", extra=facts)
        return True

    def _enrich(self, batch: Mapping[type[Entry], Sequence[Entry]]) -> Enriched:
        if self._routes.version < 0:
            self._load_routes()
        together = Enriched.nothing()
        for kind, entries in batch.items():
            together.add(ENRICH[kind](entries, self._reader, self._routes))
        for hit in together.unknown:
            self._note_unknown(hit)
        return together

    def _note_unknown(self, entry: TrackingHit) -> None:
        self._instruments.unknown.value += 1
        log.warning(
            "the message of a hit is not in the ledger",
            extra={"action": "hit_unknown", "event_id": id_text("evt", entry.event_id), "kind": entry.kind},
        )

    def _fan_out(self, events: Sequence[EventToRecord], recorded: RecordedEvents) -> None:
        offer_deliveries(events, recorded, self._routes, self._loops)
        if recorded.duplicates:
            self._nudge([events[n].event_id for n in recorded.duplicates])

    def _nudge(self, event_ids: Sequence[bytes]) -> None:
        for loop_no in self._reader.loops_owed(event_ids):
            if loop_id := self._routes.loop_id(loop_no):
                self._loops.nudge(loop_id)
