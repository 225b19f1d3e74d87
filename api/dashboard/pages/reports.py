"""Report pages: the list by state, and what became of one report."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from actors.commands.events import GetEvent
from actors.commands.reports import GetReport, ListReports, ReportView
from api.dashboard.forms import beside_fields
from api.dashboard.pages.events import mail_of
from api.dashboard.request import Page, Visit
from api.dashboard.shown_events import ShownEvent
from api.http.response import Response
from domain.errors import InvalidInput, NotFound

#: Reports on one page.
PAGE: Final = 50
#: Events shown with a report: its first ones, and the last, which has the mail. A mail may be about 200 recipients.
MAX_EVENTS: Final = 50


class Command(NamedTuple):
    """A command that sends a report. `id` is its element's id, `what` describes it."""

    id: str
    what: str
    text: str


#: Shown to an account without reports.
COMMANDS: Final = (
    Command(
        "report-curl",
        "A failure that your own software saw",
        """\
curl -fsS "$FEEDBACK_LOOPS_URL/v1/events" \\
  -H "Authorization: Bearer $FEEDBACK_LOOPS_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"type": "failure", "message": "MESSAGE_ID", "code": "550", "extended": "5.1.1"}'""",
    ),
    Command(
        "mail-curl",
        "A mail that came back",
        """\
curl -fsS "$FEEDBACK_LOOPS_URL/v1/mime" \\
  -H "Authorization: Bearer $FEEDBACK_LOOPS_API_KEY" \\
  -H "Content-Type: message/rfc822" \\
  --data-binary @returned.eml""",
    ),
    Command("mail-cli", "A mail that came back, with our command line", "feedback-loops events mime returned.eml"),
)


async def reports_page(visit: Visit) -> Response:
    """The newest reports, of any state or of one."""
    state, cursor = visit.query.text("state"), visit.query.text("cursor")
    shown: dict[str, Any] = {"state": state, "is_first": not cursor, "problem": "", "problems": {}}
    command = ListReports(account=visit.account, state=state or None, limit=PAGE, cursor=cursor or None)
    try:
        page = await visit.call(command)
    except InvalidInput as exc:
        shown["problems"], shown["problem"] = beside_fields(exc, {"state": "State"})
        return visit.html("reports.html", 422, reports=[], next=None, **shown)
    return visit.html("reports.html", reports=page.data, next=page.next, commands=COMMANDS, **shown)


async def report_page(visit: Visit) -> Response:
    """One report with its events, and the header of its mail if it is stored."""
    report = await visit.call(GetReport(account=visit.account, report_id=visit.path["id"]))
    events = await _events(visit, report)
    mail = await mail_of(visit, events[-1]) if events else None
    return visit.html("report.html", report=report, rows=events, mail=mail)


async def _events(visit: Visit, report: ReportView) -> list[ShownEvent]:
    """The events of the report that are still stored, at most `MAX_EVENTS`."""
    wanted = [*report.events[: MAX_EVENTS - 1], *report.events[MAX_EVENTS - 1 :][-1:]]
    found = await asyncio.gather(*(_event(visit, event_id) for event_id in wanted))
    return [event for event in found if event is not None]


async def _event(visit: Visit, event_id: str) -> ShownEvent | None:
    try:
        return ShownEvent.of(await visit.call(GetEvent(account=visit.account, event_id=event_id)))
    except NotFound:
        return None


PAGES: Final = (
    Page(method="GET", path="/reports", handler=reports_page),
    Page(method="GET", path="/reports/{id}", handler=report_page),
)
