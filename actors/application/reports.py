"""Report handlers: show what became of reports, and list the API keys for front ends."""

from __future__ import annotations

import asyncio

from actors.application.context import CommandService
from actors.commands.command import Page
from actors.commands.handlers import HandlerTable
from actors.commands.reports import ApiKeyList, FindReport, GetReport, ListReports, ReadApiKeys, ReportView
from domain.errors import NotFound


class ReportService(CommandService):
    """Handles commands about reports."""

    handlers = HandlerTable()

    @handlers.add(GetReport)
    async def get_report(self, command: GetReport) -> ReportView:
        found = await asyncio.to_thread(self._reader.report, command.account.no, command.report_id)
        if found is None:
            raise NotFound(f"there is no report {command.report_id} in this account, or it has not been recorded yet")
        return found

    @handlers.add(FindReport)
    async def find_report(self, command: FindReport) -> ReportView | None:
        return await asyncio.to_thread(self._reader.report_of_event, command.account.no, command.event_id)

    @handlers.add(ListReports)
    async def list_reports(self, command: ListReports) -> Page[ReportView]:
        return await asyncio.to_thread(self._reader.list_reports, command)

    @handlers.add(ReadApiKeys)
    async def read_api_keys(self, command: ReadApiKeys) -> ApiKeyList:
        return await asyncio.to_thread(self._reader.api_key_list, command.known_version)
