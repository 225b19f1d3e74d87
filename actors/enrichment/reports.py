"""Enrichment of reports: finds the message of each, makes its events, and finds the loops for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.enrichment.erased import erased_reports
from actors.enrichment.hits import Enriched
from actors.enrichment.matching import matched_messages
from actors.enrichment.read_report import ReadReport
from actors.enrichment.routing_index import RoutingIndex
from actors.ledger.reader import LedgerReader
from domain.event_catalogue.triggers import Trigger
from domain.reports.intake import Report, ReportState, ReturnedMailEntry, further_id
from domain.reports.statements import Statement, statement_fields, statement_of
from domain.tracking import EventToRecord, MessageFacts, ProfileFacts, ReportToRecord

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


def enrich_reports(reports: Sequence[Report], reader: LedgerReader, routes: RoutingIndex) -> Enriched:
    """Looks up what the ledger knows about all reports at once, and makes their events."""
    read = []
    for report in reports:
        fields = _decode(report.body)
        keys, statement = statement_of(fields, report.arrived_ms)
        read.append(ReadReport(report, statement.type, keys, [statement]))
    return enrich_read_reports(read, reader, routes)


def enrich_read_reports(reports: Sequence[ReadReport], reader: LedgerReader, routes: RoutingIndex) -> Enriched:
    """The same for reports of any kind, once it is known what they say."""
    refused = _refused_keys(reports, reader)
    messages = matched_messages([(report.entry.account_no, report.keys) for report in reports], reader)
    erased = erased_reports(reports, messages, reader)
    profiles = reader.profiles(
        {(m.account_no, m.database, m.profile) for m in messages if m is not None and m.database and m.profile}
    )
    enriched = Enriched.nothing()
    for number, (report, message) in enumerate(zip(reports, messages, strict=True)):
        entry = report.entry
        if refused.get(entry.key_hash, entry.arrived_ms) < entry.arrived_ms:
            enriched.reports.append(_to_record(report, b"", ReportState.REFUSED, []))
            continue
        if number in erased:
            enriched.reports.append(_to_record(report, entry.digest, ReportState.ERASED, []))
            if message is not None:
                unsubscribed = [each for each in report.statements if each.type == Trigger.UNSUBSCRIBE]
                enriched.opt_outs.extend((message.key, each.time_ms) for each in unsubscribed)
            continue
        profile = profiles.get((message.account_no, message.database or "", message.profile or "")) if message else None
        events = [
            _event(entry, position, statement, message, profile, routes)
            for position, statement in enumerate(report.statements)
        ]
        enriched.reports.append(_to_record(report, entry.digest, _state(report, message), events))
    return enriched


def _refused_keys(reports: Sequence[ReadReport], reader: LedgerReader) -> dict[bytes, int]:
    """The keys that are not valid, each with the Unix milliseconds after which reports with it are refused."""
    found: dict[bytes, int] = {}
    for key_hash, account_no in {(r.entry.key_hash, r.entry.account_no) for r in reports}:
        key = reader.api_key(key_hash.hex())
        if key is None or key.account_no != account_no:
            found[key_hash] = 0  # the ledger is older than the key, so it was restored
        elif key.revoked_at_ms is not None:
            found[key_hash] = key.revoked_at_ms
    return found


def _state(report: ReadReport, message: MessageFacts | None) -> ReportState:
    if report.is_unreadable:
        return ReportState.UNREADABLE
    return ReportState.UNMATCHED if message is None else ReportState.MATCHED


def _to_record(report: ReadReport, digest: bytes, state: ReportState, events: list[EventToRecord]) -> ReportToRecord:
    entry = report.entry
    return ReportToRecord(
        report_id=entry.event_id,
        account_no=entry.account_no,
        digest=digest,
        source=entry.source,
        kind=report.kind,
        state=int(state),
        events=events,
        is_truncated=report.is_truncated,
    )


def _event(
    entry: Report | ReturnedMailEntry,
    number: int,
    statement: Statement,
    message: MessageFacts | None,
    profile: ProfileFacts | None,
    routes: RoutingIndex,
) -> EventToRecord:
    event_id = further_id(entry.event_id, number)
    tags, database = (message.tags, message.database) if message is not None else ([], None)
    return EventToRecord(
        event_id=event_id,
        account_no=entry.account_no,
        type=statement.type,
        message_key=message.key if message is not None else 0,
        first_key=None,
        time_ms=statement.time_ms,
        fields=_encode(statement_fields(event_id, statement, message, profile)),
        loop_nos=routes.owed(entry.account_no, statement.type, tags, database),
        mime=statement.mime,
    )
