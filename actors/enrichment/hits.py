"""Enrichment of tracking hits: adds message, profile, first and bot fields, and finds the loops for each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec

from actors.enrichment.routing_index import RoutingIndex
from actors.ledger.reader import LedgerReader
from domain.bots import bot_reason
from domain.enrichment import event_fields, first_key
from domain.event_catalogue.triggers import Trigger
from domain.tracking import EventToRecord, ReportToRecord, TrackingHit

_encode = msgspec.json.Encoder().encode


class Enriched(NamedTuple):
    """Events of a batch, ready to be recorded."""

    events: list[EventToRecord]
    #: Hits whose message is not in the ledger: it was deleted, or belongs to another installation's backup.
    unknown: list[TrackingHit]
    #: Reports of the batch, each with its events.
    reports: list[ReportToRecord]
    #: Hits of erased messages, which are only counted.
    erased: list[TrackingHit]
    #: Unsubscriptions from erased messages: the message's key, and the time (Unix milliseconds).
    opt_outs: list[tuple[int, int]]

    @classmethod
    def nothing(cls) -> Self:
        """A result to add to."""
        return cls([], [], [], [], [])

    def add(self, more: Enriched) -> None:
        """Adds another result."""
        self.events.extend(more.events)
        self.unknown.extend(more.unknown)
        self.reports.extend(more.reports)
        self.erased.extend(more.erased)
        self.opt_outs.extend(more.opt_outs)


def enrich_hits(hits: Sequence[TrackingHit], reader: LedgerReader, routes: RoutingIndex) -> Enriched:
    """Looks up what the ledger knows about all hits at once, and makes their events."""
    messages = reader.messages({h.message_key for h in hits})
    profiles = reader.profiles(
        {(m.account_no, m.database, m.profile) for m in messages.values() if m.database and m.profile}
    )
    firsts = [first_key(h.kind, h.target) for h in hits]
    taken = reader.taken_firsts({(h.message_key, f) for h, f in zip(hits, firsts, strict=True) if f is not None})
    enriched = Enriched.nothing()
    for hit, first in zip(hits, firsts, strict=True):
        message = messages.get(hit.message_key)
        if message is None or message.account_no != hit.account_no:
            enriched.unknown.append(hit)
            continue
        if message.is_erased:
            enriched.erased.append(hit)
            if hit.kind == Trigger.UNSUBSCRIBE:
                enriched.opt_outs.append((hit.message_key, hit.time_ms))
            continue
        is_first = first is not None and (hit.message_key, first) not in taken
        if first is not None:
            taken.add((hit.message_key, first))
        profile = profiles.get((message.account_no, message.database or "", message.profile or ""))
        bot = bot_reason(hit.useragent, hit.purpose) if first is not None else None
        fields = event_fields(hit, message, profile, is_first, bot)
        enriched.events.append(
            EventToRecord(
                event_id=hit.event_id,
                account_no=hit.account_no,
                type=hit.kind,
                message_key=hit.message_key,
                first_key=first if is_first else None,
                time_ms=hit.time_ms,
                fields=_encode(fields),
                loop_nos=routes.owed(hit.account_no, hit.kind, message.tags, message.database),
            )
        )
    return enriched
