"""What each part of the service counts, by the names that the part has for it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from actors.metrics import catalogue as m
from actors.metrics.registry import Tallies
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.tracking import EventToRecord, RecordedEvents
from domain.values import DeliveryState, Trigger

#: As plain numbers: an enumeration's member takes longer to compare, and this is the hot path.
_PENDING: Final = int(DeliveryState.PENDING)
_DELIVERED: Final = int(DeliveryState.DELIVERED)
_first_eight: Final = struct.Struct(">Q").unpack_from


class HitFigures:
    """Of the tracking routes and the forwarder."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        tallies = tallies or Tallies()
        self.hits = {kind: tallies.cell(m.HITS, kind) for kind in m.HITS.labels["kind"]}
        self.refused = tallies.cell(m.HITS_REFUSED)
        self.answer = tallies.histogram(m.HIT_ANSWER)
        self.batch = tallies.histogram(m.FORWARD_BATCH)
        self.failed = tallies.cell(m.FORWARDS_FAILED)
        self.set_aside = tallies.cell(m.HITS_SET_ASIDE)


class EnrichmentFigures:
    """Of an enrichment actor."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        tallies = tallies or Tallies()
        self.batch = tallies.histogram(m.ENRICH_BATCH)
        self.unknown = tallies.cell(m.HITS_UNKNOWN)
        self._events = {trigger.value: tallies.cell(m.EVENTS, trigger.value) for trigger in Trigger}
        self._repeated = tallies.cell(m.EVENTS_REPEATED)
        self._recorded = tallies.histogram(m.HIT_RECORDED)
        self._made = tallies.cell(m.DELIVERIES, "made")

    def recorded(self, events: Sequence[EventToRecord], recorded: RecordedEvents, now_ms: int) -> None:
        """A batch was recorded, at a Unix time in milliseconds."""
        repeated = set(recorded.duplicates)
        self._repeated.value += len(repeated)
        for number, (event, delivery_ids) in enumerate(zip(events, recorded.delivery_ids, strict=True)):
            if number not in repeated:
                self._events[event.type].value += 1
                self._made.value += len(delivery_ids)
                self._recorded.observe(max(now_ms - event.time_ms, 0) / 1000)


class CommitFigures:
    """Of the ledger's writer, whatever its store."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        tallies = tallies or Tallies()
        self._seconds = tallies.histogram(m.COMMIT)
        self._rows = tallies.histogram(m.COMMIT_ROWS)
        self.failed = tallies.cell(m.COMMITS_FAILED)
        self.waiting_rows = tallies.cell(m.LEDGER_WAITING)

    def committed(self, rows: int, seconds: float) -> None:
        """A transaction is durable."""
        self._rows.observe(rows)
        self._seconds.observe(seconds)


class DeliveryFigures:
    """Of all lanes of a process."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        tallies = tallies or Tallies()
        self.under_way = tallies.cell(m.UNDER_WAY)
        self._seconds = tallies.histogram(m.ATTEMPT)
        self._results = {word: tallies.cell(m.ATTEMPTS, word) for word in m.ERROR_WORDS}
        self._delivered = tallies.cell(m.ATTEMPTS, "delivered")
        self._states = {
            _DELIVERED: tallies.cell(m.DELIVERIES, "delivered"),
            int(DeliveryState.DEAD): tallies.cell(m.DELIVERIES, "dead"),
        }
        self._first = tallies.histogram(m.EVENT_DELIVERED, "first")
        self._later = tallies.histogram(m.EVENT_DELIVERED, "later")

    def attempted(self, delivery: OfferedDelivery, outcome: AttemptOutcome, seconds: float, now_ms: int) -> None:
        """An attempt that took `seconds` ended at `now_ms` (Unix time)."""
        self._seconds.observe(seconds)
        state = outcome.state
        if state == _DELIVERED:
            self._delivered.value += 1
            self._states[state].value += 1
            # A UUIDv7 begins with its time: that of the hit.
            (hit_ms,) = _first_eight(delivery.event_id)
            age_s = (now_ms - (hit_ms >> 16)) / 1000
            (self._later if delivery.attempts else self._first).observe(age_s if age_s > 0 else 0.0)
            return
        self._results.get(outcome.error or "", self._results["internal"]).value += 1
        if state != _PENDING:
            self._states[state].value += 1
