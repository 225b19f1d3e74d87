"""Retention sweeps of reports and of their digests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.event_encoding import redacted_state
from actors.ledger.queries.filters import first_event_id
from actors.ledger.retention.sweeps import START, Expired, Position
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock, RetentionLimits
from domain.reports.intake import ReportState, further_id

#: How long the API shows reports, and how long a mail is kept that no message belongs to.
KEPT_REPORTS_MS: Final = 30 * 24 * 3600 * 1000
#: How long a repeat is recognised.
KEPT_DIGESTS_MS: Final = 100 * 24 * 3600 * 1000
#: Events that one transaction redacts. Each may have a mail of half a megabyte.
_EVENTS_AT_ONCE: Final = 20
#: Nobody can find the people in them by a message.
_OF_NO_MESSAGE: Final = frozenset({ReportState.UNMATCHED, ReportState.UNREADABLE})

OLD_REPORTS: Final = (
    "SELECT account_no, report_id, state, events FROM reports WHERE report_id > $1 AND report_id < $2"
    " ORDER BY report_id LIMIT $3"
)
#: A delivery that waits is sent with everything that belongs to it.
AWAITED: Final = "SELECT DISTINCT event_id FROM deliveries WHERE state = 0 AND event_id {in $1}"
_DROP_REPORT: Final = "DELETE FROM reports WHERE account_no = $1 AND report_id = $2"
_DROP_MAIL: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version = 2"
_STATE: Final = "SELECT state FROM stored_events WHERE originator_id = $1 AND originator_version = 1"
_REDACT: Final = "UPDATE stored_events SET state = $1 WHERE originator_id = $2 AND originator_version = 1"
OLD_DIGESTS: Final = "SELECT digest, report_id FROM report_digests WHERE report_id < $1 ORDER BY report_id LIMIT $2"
_DROP_DIGEST: Final = "DELETE FROM report_digests WHERE digest = $1"


class ReportSweep:
    """Reports that arrived over 30 days ago. What a matched one became stays as long as events do.

    What became of others loses its mail and all that may reveal a person: no erasure could find it by a message. It
    stays as it is while one of its deliveries is pending.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:  # noqa: ARG002
        event_id = connection.dialect.event_id
        until_id = first_event_id(self._clock.now_ms() - KEPT_REPORTS_MS)
        found = connection.rows(OLD_REPORTS, (event_id(after[2]), event_id(until_id), limit))
        reports = [(account_no, id_, _events(id_, state, events)) for account_no, id_, state, events in found]
        sums = accumulate(len(events) for _, _, events in reports)
        reports = reports[: 1 + sum(1 for _ in takewhile(lambda events: events < _EVENTS_AT_ONCE, sums))]
        asked = [event for _, _, events in reports for event in events]
        awaited = {row[0] for row in connection.rows_of_events(AWAITED, asked)} if asked else set()
        old = [report for report in reports if awaited.isdisjoint(report[2])]
        has_more = len(found) == limit or len(reports) < len(found)
        return Expired(old, (0, 0, reports[-1][1]) if has_more else START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        for event_id in (event_id for _, _, events in rows for event_id in events):
            cursor.execute(_DROP_MAIL, (event_id.hex(),))
            if found := cursor.execute(_STATE, (event_id.hex(),)).fetchone():
                cursor.execute(_REDACT, (redacted_state(found[0]), event_id.hex()))
        cursor.executemany(_DROP_REPORT, [(row[0], cursor.dialect.event_id(row[1])) for row in rows])
        return len(rows)


def _events(report_id: bytes, state: int, events: int) -> list[bytes]:
    """The ids of the events that go with a report."""
    return [further_id(report_id, number) for number in range(events)] if state in _OF_NO_MESSAGE else []


class DigestSweep:
    """Digests of reports that arrived over 100 days ago."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:  # noqa: ARG002
        until_id = connection.dialect.event_id(first_event_id(self._clock.now_ms() - KEPT_DIGESTS_MS))
        return Expired(connection.rows(OLD_DIGESTS, (until_id, limit)), START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_DIGEST, [(digest,) for digest, _ in rows])
        return cursor.rowcount
