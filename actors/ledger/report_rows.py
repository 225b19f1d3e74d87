"""Rows of reports: which reports of a batch are new, and what the ledger keeps of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from domain.reports.intake import ReportState
from domain.tracking import EventToRecord, ReportToRecord

#: Columns of `reports`, in the order of `ReportRow`.
COLUMNS = ("account_no", "report_id", "state", "source", "kind", "events", "truncated", "first_id")


class ReportRow(NamedTuple):
    """A row of `reports`."""

    account_no: int
    report_id: bytes
    state: int
    source: str
    kind: str
    events: int
    truncated: int
    first_id: bytes | None


class SortedReports(NamedTuple):
    """The reports of a batch, sorted by whether the ledger knew them."""

    #: Rows to add. A row of a batch that is sent again may exist.
    rows: list[ReportRow]
    #: Digests to add, each with the id of its report.
    digests: list[tuple[bytes, bytes]]
    #: All events of the reports, in their order.
    events: list[EventToRecord]
    #: Positions in `events` of those that belong to a report that was recorded by an earlier sending of the batch.
    sent_again: set[int]
    #: Positions in `events` of those that belong to a report that repeats another one.
    of_repeated: set[int]
    #: Positions of the reports that repeat another one.
    repeated: list[int]


def sort_reports(reports: Sequence[ReportToRecord], known: Mapping[bytes, bytes]) -> SortedReports:
    """Sorts the reports of a batch. `known`: digests that the ledger has, each with the id of its report."""
    first_ids = dict(known)
    found = SortedReports([], [], [], set(), set(), [])
    for number, report in enumerate(reports):
        positions = range(len(found.events), len(found.events) + len(report.events))
        found.events.extend(report.events)
        first_id = first_ids.get(report.digest) if report.digest else None
        if first_id is None:
            found.rows.append(_row(report, report.state, len(report.events), None))
            if report.digest:
                first_ids[report.digest] = report.report_id
                found.digests.append((report.digest, report.report_id))
        elif first_id == report.report_id:
            found.sent_again.update(positions)
        else:
            found.rows.append(_row(report, ReportState.REPEATED, 0, first_id))
            found.of_repeated.update(positions)
            found.repeated.append(number)
    return found


def _row(report: ReportToRecord, state: int, events: int, first_id: bytes | None) -> ReportRow:
    return ReportRow(
        account_no=report.account_no,
        report_id=report.report_id,
        state=int(state),
        source=report.source,
        kind=report.kind,
        events=events,
        truncated=int(report.is_truncated),
        first_id=first_id,
    )
