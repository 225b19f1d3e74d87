"""Instruments: the counters, gauges and histograms of each part of the service."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from actors.metrics import catalogue as m
from actors.metrics.registry import Registry
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.event_catalogue.triggers import REPORTED, Source, triggers_of
from domain.reports.intake import SOURCES, ReportState
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord
from domain.values import DeliveryState

#: Plain numbers compare faster than members of an enumeration; this is the hot path.
_PENDING: Final = int(DeliveryState.PENDING)
_DELIVERED: Final = int(DeliveryState.DELIVERED)
_first_eight: Final = struct.Struct(">Q").unpack_from


class HitInstruments:
    """Instruments of the tracking routes and the forwarder."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self.hits = {kind: registry.counter(m.HITS, kind) for kind in m.HITS.labels["kind"]}
        self.refused = registry.counter(m.HITS_REFUSED)
        self.answer = registry.histogram(m.HIT_ANSWER)
        self.batch = registry.histogram(m.FORWARD_BATCH)
        self.failed = registry.counter(m.FORWARDS_FAILED)
        self.set_aside = registry.counter(m.HITS_SET_ASIDE)


class EnrichmentInstruments:
    """Instruments of an enrichment actor."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self.batch = registry.histogram(m.ENRICH_BATCH)
        self.unknown = registry.counter(m.HITS_UNKNOWN)
        self.hits_erased = registry.counter(m.HITS_ERASED)
        self._hits = {trigger: registry.counter(m.EVENTS, trigger, m.HIT_SOURCE) for trigger in triggers_of(Source.HIT)}
        self._reported = {
            (source, trigger): registry.counter(m.EVENTS, trigger, source) for source in SOURCES for trigger in REPORTED
        }
        self._reports = {
            (source, state): registry.counter(m.REPORTS, source, state.name.lower())
            for source in SOURCES
            for state in ReportState
        }
        self.mails_lost = registry.counter(m.MAILS_LOST)
        self._repeated = registry.counter(m.EVENTS_REPEATED)
        self._recorded = registry.histogram(m.HIT_RECORDED)
        self._made = registry.counter(m.DELIVERIES, "made")

    def recorded(self, hits: Sequence[EventToRecord], recorded: RecordedEvents, now_ms: int) -> None:
        """Counts the events of hits of a batch that was recorded at `now_ms` (Unix time)."""
        repeated = set(recorded.duplicates)
        self._repeated.value += len(repeated)
        for number, (event, delivery_ids) in enumerate(zip(hits, recorded.delivery_ids, strict=False)):
            if number not in repeated:
                self._hits[event.type].value += 1
                self._made.value += len(delivery_ids)
                self._recorded.observe(max(now_ms - event.time_ms, 0) / 1000)

    def reported(self, hits: int, reports: Sequence[ReportToRecord], recorded: RecordedEvents, now_ms: int) -> None:
        """Counts the reports of that batch, whose events follow those of a number of hits, and these events."""
        repeated, known = set(recorded.repeated_reports), set(recorded.duplicates)
        position = hits
        for number, report in enumerate(reports):
            state = ReportState.REPEATED if number in repeated else ReportState(report.state)
            positions = range(position, position + len(report.events))
            position += len(report.events)
            if known.intersection(positions):
                continue  # the batch was sent again
            self._reports[report.source, state].value += 1
            if state is ReportState.REPEATED:
                continue
            (first_eight,) = _first_eight(report.report_id)
            self._recorded.observe(max(now_ms - (first_eight >> 16), 0) / 1000)
            for event, at in zip(report.events, positions, strict=True):
                self._reported[report.source, event.type].value += 1
                self._made.value += len(recorded.delivery_ids[at])


class ProfileInstruments:
    """Instruments of the events about profiles."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self._events = {
            trigger: registry.counter(m.EVENTS, trigger, m.PROFILE_SOURCE) for trigger in triggers_of(Source.PROFILE)
        }
        self._made = registry.counter(m.DELIVERIES, "made")

    def recorded(self, events: Sequence[EventToRecord], recorded: RecordedEvents) -> None:
        """Counts the events of a change."""
        for event, delivery_ids in zip(events, recorded.delivery_ids, strict=True):
            self._events[event.type].value += 1
            self._made.value += len(delivery_ids)


class CommitInstruments:
    """Instruments of the ledger's writer, the same for every store."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self._seconds = registry.histogram(m.COMMIT)
        self._rows = registry.histogram(m.COMMIT_ROWS)
        self.failed = registry.counter(m.COMMITS_FAILED)
        self.waiting_rows = registry.gauge(m.LEDGER_WAITING)

    def committed(self, rows: int, seconds: float) -> None:
        """Counts a durable transaction."""
        self._rows.observe(rows)
        self._seconds.observe(seconds)


class DeliveryInstruments:
    """Instruments of all lanes of a process."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self.under_way = registry.gauge(m.UNDER_WAY)
        self._seconds = registry.histogram(m.ATTEMPT)
        self._results = {word: registry.counter(m.ATTEMPTS, word) for word in m.ERROR_WORDS}
        self._delivered = registry.counter(m.ATTEMPTS, "delivered")
        self._states = {
            _DELIVERED: registry.counter(m.DELIVERIES, "delivered"),
            int(DeliveryState.DEAD): registry.counter(m.DELIVERIES, "dead"),
        }
        self._first = registry.histogram(m.EVENT_DELIVERED, "first")
        self._later = registry.histogram(m.EVENT_DELIVERED, "later")

    def attempted(self, delivery: OfferedDelivery, outcome: AttemptOutcome, seconds: float, now_ms: int) -> None:
        """Counts an attempt that took `seconds` and ended at `now_ms` (Unix time)."""
        self._seconds.observe(seconds)
        state = outcome.state
        if state == _DELIVERED:
            self._delivered.value += 1
            self._states[state].value += 1
            # A UUIDv7 begins with its time, here the time of the hit.
            (hit_ms,) = _first_eight(delivery.event_id)
            age_s = (now_ms - (hit_ms >> 16)) / 1000
            (self._later if delivery.attempts else self._first).observe(age_s if age_s > 0 else 0.0)
            return
        self._results.get(outcome.error or "", self._results["internal"]).value += 1
        if state != _PENDING:
            self._states[state].value += 1
