"""Reports that may name a person whose messages they did not match, and their redaction.

A report that matched no message, or was not readable, is only found by its text. So is one that matched the message of
someone else: it may be about several people, or name the address to which a mail was forwarded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.redaction import RedactedEvent, erased_event, redact_events, state_with
from actors.ledger.erasure.store_access import stored_states
from actors.ledger.event_encoding import TrackingEventState, decode_kept_mail, decode_state
from actors.ledger.people import person_of
from actors.ledger.queries.filters import first_event_id
from actors.ledger.store_connection import StoreConnection
from domain.erasure import ALL_ACCOUNTS, Counts
from domain.report_erasure import are_about, event_about_others
from domain.reports.intake import ReportState, further_id

_PAGE: Final = (
    "SELECT report_id, events FROM reports {{by reports_of_state}} WHERE account_no = $1 AND state = {state:d}"
    " AND report_id > $2 AND report_id < $3 ORDER BY report_id LIMIT $4"
)
#: The reports to search, in the order in which an account's are searched.
_STATES: Final = (ReportState.UNMATCHED, ReportState.UNREADABLE, ReportState.MATCHED)
SEARCHED: Final = tuple(_PAGE.format(state=state) for state in _STATES)
_ACCOUNTS: Final = "SELECT no FROM accounts WHERE no >= $1 ORDER BY no"
_END: Final = "UPDATE reports SET state = $3 WHERE account_no = $1 AND report_id = $2"


class ReportPosition(NamedTuple):
    """A report in the order of the search: its account, one of `SEARCHED`, and its id (hexadecimal)."""

    account_no: int = 0
    kind: int = 0
    report_id: str = ""


class FoundReport(NamedTuple):
    """A report to search, with all of its events that are left."""

    position: ReportPosition
    events: dict[bytes, TrackingEventState]
    mails: list[str]

    @property
    def texts(self) -> list[str]:
        """The texts of its events."""
        fields = (json.loads(state.fields) for state in self.events.values())
        return [value for each in fields for value in each.values() if isinstance(value, str)]


class RedactedReport(NamedTuple):
    """A report as it stays."""

    position: ReportPosition
    events: Sequence[RedactedEvent]

    @property
    def is_erased(self) -> bool:
        return all(event.is_erased for event in self.events)


def next_reports(
    connection: StoreConnection, account_no: int, until_ms: int, after: ReportPosition, limit: int
) -> list[FoundReport]:
    """The next reports to search that arrived by a time; none at the end. `account_no`: one or `ALL_ACCOUNTS`."""
    before = connection.dialect.event_id(first_event_id(until_ms + 1))
    if account_no == ALL_ACCOUNTS:
        accounts = [no for (no,) in connection.rows(_ACCOUNTS, (after.account_no,))]
    else:
        accounts = [account_no]
    for no in accounts:
        for kind, sql in enumerate(SEARCHED):
            at = ReportPosition(no, kind)
            if at < after[:2]:
                continue
            last = bytes.fromhex(after.report_id) if at[:2] == after[:2] and after.report_id else bytes(16)
            rows = connection.rows(sql, (no, connection.dialect.event_id(last), before, limit))
            if rows:
                return _reports(
                    connection, [(ReportPosition(no, kind, bytes(id_).hex()), events) for id_, events in rows]
                )
    return []


def _reports(connection: StoreConnection, found: Sequence[tuple[ReportPosition, int]]) -> list[FoundReport]:
    ids = {
        position: [further_id(bytes.fromhex(position.report_id), number) for number in range(events)]
        for position, events in found
    }
    uuids = [UUID(bytes=id_) for of_report in ids.values() for id_ in of_report]
    states, mails = stored_states(connection, uuids), stored_states(connection, uuids, version=2)
    return [
        FoundReport(
            position,
            {id_: decode_state(states[uuid]) for id_ in of_report if (uuid := UUID(bytes=id_)) in states},
            [decode_kept_mail(mails[uuid]).mime for id_ in of_report if (uuid := UUID(bytes=id_)) in mails],
        )
        for position, of_report in ids.items()
    ]


def without_person(report: FoundReport, person: str) -> RedactedReport:
    """A report that names the person, as it stays. Events about others go out without what it quotes."""
    fields: list[dict[str, Any]] = [json.loads(state.fields) for state in report.events.values()]
    about = are_about(person, fields, person_of)
    if _STATES[report.position.kind] is ReportState.MATCHED and all(about):
        # It belongs to a message to someone else: those to the person were redacted before.
        about = [False] * len(about)
    events = [
        erased_event(id_, state) if is_about else _about_others(id_, state, event_about_others(each, person, person_of))
        for (id_, state), each, is_about in zip(report.events.items(), fields, about, strict=True)
    ]
    return RedactedReport(report.position, events)


def redact_report(cursor: Cursor, erasure_no: int, report: RedactedReport) -> Counts:
    """Redacts the events of a report, and drops its mail."""
    deliveries = redact_events(cursor, erasure_no, report.events)
    if report.is_erased:
        account_no, _, report_id = report.position
        cursor.execute(_END, (account_no, cursor.dialect.event_id(bytes.fromhex(report_id)), int(ReportState.ERASED)))
    return Counts(events=len(report.events), deliveries=deliveries, mails=1)


def _about_others(event_id: bytes, state: TrackingEventState, fields: dict[str, Any]) -> RedactedEvent:
    return RedactedEvent(event_id, state_with(state, msgspec.json.encode(fields).decode()), is_erased=False)
