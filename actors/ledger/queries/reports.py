"""Queries for reports, and for the list of API keys that front ends keep."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Page
from actors.commands.reports import ApiKeyList, KnownApiKey, ListReports, ReportView
from actors.ledger.queries.filters import first_event_id, one_of
from actors.ledger.queries.pagination import decode_cursor, page_of
from actors.ledger.store_connection import Row, StoreConnection
from domain.reports.intake import ReportState, further_id
from domain.values import event_time_ms, id_text, id_uuid

#: States by their names in the API.
STATES: Final = {state.name.lower(): state for state in ReportState}

_COLUMNS: Final = "report_id, state, source, kind, events, truncated, first_id"
REPORT: Final = f"SELECT {_COLUMNS} FROM reports WHERE account_no = $1 AND report_id = $2"  # noqa: S608 - constants only
REPORTS: Final = (
    f"SELECT {_COLUMNS} FROM reports WHERE account_no = $1 AND report_id < $2"  # noqa: S608 - constants only
    " ORDER BY report_id DESC LIMIT $3"
)
REPORTS_IN_STATE: Final = (
    f"SELECT {_COLUMNS} FROM reports WHERE account_no = $1 AND state = $4 AND report_id < $2"  # noqa: S608
    " ORDER BY report_id DESC LIMIT $3"
)
#: The other events of a report have ids of the same millisecond.
REPORTS_WITH_MORE: Final = (
    f"SELECT {_COLUMNS} FROM reports WHERE account_no = $1 AND report_id >= $2 AND report_id < $3"  # noqa: S608
    " AND events > 1 ORDER BY report_id LIMIT $4"
)
KEYS_VERSION: Final = "SELECT value FROM meta WHERE name = 'keys_version'"
ALL_KEYS: Final = "SELECT k.hash, a.no, a.id, a.name FROM api_keys AS k JOIN accounts AS a ON a.no = k.account_no"

ReportKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
#: Mails of an account whose reports have several events; more do not arrive in one millisecond.
_MAX_OF_A_MILLISECOND: Final = 100
_NEWEST: Final = b"\xff" * 16


class ReportQueries(StoreConnection):
    """The part of `LedgerReader` that reads reports and the list of API keys."""

    def report(self, account_no: int, report_id: str) -> ReportView | None:
        """A report of the account by id (`rep_…`); None if there is none, or it is over 30 days old."""
        uuid = id_uuid("rep", report_id)
        found = self.row(REPORT, (account_no, self.dialect.event_id(uuid.bytes))) if uuid else None
        return report_view(found) if found else None

    def report_of_event(self, account_no: int, event_id: str) -> ReportView | None:
        """The report of the account that an event (`evt_…`) came from; None if there is none."""
        uuid = id_uuid("evt", event_id)
        if uuid is None:
            return None
        if found := self.row(REPORT, (account_no, self.dialect.event_id(uuid.bytes))):
            return report_view(found)
        at_ms = event_time_ms(uuid.bytes)
        bounds = [self.dialect.event_id(first_event_id(ms)) for ms in (at_ms, at_ms + 1)]
        rows = self.rows(REPORTS_WITH_MORE, (account_no, *bounds, _MAX_OF_A_MILLISECOND))
        return next((view for view in map(report_view, rows) if event_id in view.events), None)

    def list_reports(self, query: ListReports) -> Page[ReportView]:
        """Reports of the account, newest first.

        Raises:
            InvalidInput: the cursor or the state is invalid.
        """
        upper = _NEWEST
        if query.cursor is not None:
            upper = bytes.fromhex(decode_cursor(query.cursor, tuple[ReportKey])[0])
        params: list[object] = [query.account.no, self.dialect.event_id(upper), query.limit + 1]
        if query.state is None:
            found = self.rows(REPORTS, params)
        else:
            found = self.rows(REPORTS_IN_STATE, [*params, int(one_of(STATES, query.state, "state"))])
        return page_of(found, query.limit, report_view, lambda row: [row[0].hex()])

    def api_key_list(self, known_version: int) -> ApiKeyList:
        """All valid API keys, unless the caller knows this version of the list."""
        with self.snapshot() as cursor:
            (version,) = cursor.execute(KEYS_VERSION).fetchone()
            if version == known_version:
                return ApiKeyList(version=version)
            found = cursor.execute(ALL_KEYS).fetchall()
        keys = [KnownApiKey(hash=hash_, account=Account(no=no, id=id_, name=name)) for hash_, no, id_, name in found]
        return ApiKeyList(version=version, keys=keys)


def report_view(row: Row) -> ReportView:
    """The API's view of a report, from its columns."""
    report_id, state, source, kind, events, truncated, first_id = row
    return ReportView(
        id=id_text("rep", report_id),
        state=ReportState(state).name.lower(),
        source=source,
        kind=kind,
        arrived_at_ms=event_time_ms(report_id),
        events=[id_text("evt", further_id(report_id, number)) for number in range(events)],
        is_truncated=bool(truncated),
        first_id=None if first_id is None else id_text("rep", first_id),
    )
