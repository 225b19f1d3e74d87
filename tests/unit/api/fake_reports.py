"""Reports and the list of API keys in memory, as the actors answer them."""

from __future__ import annotations

from actors.commands.accounts import Account
from actors.commands.command import Page
from actors.commands.reports import ApiKeyList, FindReport, GetReport, KnownApiKey, ListReports, ReadApiKeys, ReportView
from domain.errors import InvalidInput, NotFound
from domain.reports.intake import ReportState
from tests.unit.api.fake_pages import page_of

STATES = [state.name.lower() for state in ReportState]


class FakeReports:
    """The part of `FakeClient` that handles reports."""

    accounts: dict[str, Account]

    def __init__(self) -> None:
        super().__init__()
        #: Newest first.
        self.reports: list[ReportView] = []
        #: The number of the account that they belong to; None for any.
        self.reports_of: int | None = None

    def _get_report(self, x: GetReport) -> ReportView:
        found = next((report for report in self._own_reports(x.account) if report.id == x.report_id), None)
        if found is None:
            raise NotFound(f"there is no report {x.report_id} in this account, or it has not been recorded yet")
        return found

    def _find_report(self, x: FindReport) -> ReportView | None:
        return next((report for report in self._own_reports(x.account) if x.event_id in report.events), None)

    def _list_reports(self, x: ListReports) -> Page[ReportView]:
        found = [report for report in self._own_reports(x.account) if x.state in {None, report.state}]
        if x.state not in {None, *STATES}:
            raise InvalidInput.at("/state", f"must be one of {', '.join(STATES)}")
        data, following = page_of(found, x.limit, x.cursor)
        return Page(data=data, next=following)

    def _own_reports(self, account: Account) -> list[ReportView]:
        return self.reports if self.reports_of in {None, account.no} else []

    def _read_api_keys(self, x: ReadApiKeys) -> ApiKeyList:
        version = hash(frozenset(self.accounts)) & 0xFFFFFFFF
        if version == x.known_version:
            return ApiKeyList(version=version)
        keys = [KnownApiKey(hash=hash_, account=account) for hash_, account in self.accounts.items()]
        return ApiKeyList(version=version, keys=keys)
