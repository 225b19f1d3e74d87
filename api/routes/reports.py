"""Reports: statements about messages by other systems, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from actors.commands.reports import GetReport, ListReports
from api.http.authentication import sent_key_hash
from api.http.body import MIB
from api.http.operation import ApiRequest, BodyType, Operation, ResponseSpec, forward, page_view
from api.http.problem_types import NOT_FOUND, OVERLOADED
from api.http.response import JSON, NDJSON, Response
from api.reports.intake import Sender
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.reports import (
    EXAMPLE,
    AcceptedMail,
    AcceptedReports,
    NewReport,
    RejectedLine,
    Report,
    ReportList,
    ReportQuery,
)
from api.schemas.views import report_view
from domain.reports.validation import MAX_BODY_BYTES
from domain.values import id_text

operation: Final = partial(Operation, tag="Reports")
RFC822: Final = "message/rfc822"
MAX_MAIL_BYTES: Final = 10 * MIB
_REF: Final = {"$ref": "#/components/schemas/NewReport"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A body as it was sent. The handler reads it, because that takes the time."""

    body: bytes
    is_lines: bool = False


def _sender(request: ApiRequest[Sent, NoQuery]) -> Sender:
    return Sender(request.account.no, bytes.fromhex(sent_key_hash(request.headers)))


async def report_events(request: ApiRequest[Sent, NoQuery]) -> Response:
    """Journals the reports, then answers."""
    intake, sender = request.services.reports, _sender(request)
    if request.body.is_lines:
        accepted, problems = await intake.accept_lines(request.body.body, sender)
        errors = [RejectedLine(**problem._asdict()) for problem in problems]
    else:
        accepted, errors = await intake.accept_json(request.body.body, sender), []
    return Response.of(AcceptedReports(accepted=accepted, errors=errors), 202)


async def report_mail(request: ApiRequest[Sent, NoQuery]) -> Response:
    """Journals the mail, then answers."""
    report_id = await request.services.reports.accept_mail(request.body.body, _sender(request))
    return Response.of(AcceptedMail(id=id_text("rep", report_id)), 202)


def _list_reports(request: ApiRequest[EmptyBody, ReportQuery]) -> ListReports:
    query = request.query
    return ListReports(account=request.account, state=query.state, limit=query.limit, cursor=query.cursor)


OPERATIONS: Final = (
    operation(
        id="reportEvents",
        method="POST",
        path="/v1/events",
        summary="Report what happened to messages",
        description="Send one report or an array as JSON, which is accepted completely or not at all, or one report "
        "per line as NDJSON; at most 10,000. The reports are on disk when the answer arrives. The same report twice is "
        "one event, so after an error send it again. Reports are accepted while the ledger is away.",
        handler=report_events,
        bodies=(
            BodyType(
                media_type=JSON,
                model=NewReport,
                read=Sent,
                max_bytes=MAX_BODY_BYTES,
                schema={"anyOf": [_REF, {"type": "array", "items": _REF, "minItems": 1, "maxItems": 10_000}]},
                example=EXAMPLE,
            ),
            BodyType(
                media_type=NDJSON,
                model=NewReport,
                read=partial(Sent, is_lines=True),
                max_bytes=MAX_BODY_BYTES,
                is_lines=True,
                example=EXAMPLE,
            ),
        ),
        responses=(ResponseSpec(status=202, description="What was accepted.", model=AcceptedReports),),
        problems=(OVERLOADED,),
        needs_only_the_journal=True,
    ),
    operation(
        id="reportMail",
        method="POST",
        path="/v1/mime",
        summary="Report a returned mail",
        description="A bounce, a delivery status notification, a complaint or an automatic reply, as it arrived. It is "
        "on disk when the answer arrives, and parsed afterwards. The same mail twice is one report. Mails are accepted "
        "while the ledger is away.",
        handler=report_mail,
        bodies=(
            BodyType(
                media_type=RFC822,
                model=None,
                read=Sent,
                max_bytes=MAX_MAIL_BYTES,
                raw="the returned mail itself, byte for byte as it arrived",
                schema={"type": "string", "format": "binary", "contentMediaType": RFC822, "minLength": 1},
                example="From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\n…",
            ),
        ),
        responses=(ResponseSpec(status=202, description="The report's id.", model=AcceptedMail),),
        problems=(OVERLOADED,),
        needs_only_the_journal=True,
    ),
    operation(
        id="listReports",
        path="/v1/reports",
        summary="List reports",
        description="Of the last 30 days, newest first, once they are recorded.",
        handler=forward(_list_reports, page_view(ReportList, report_view)),
        query=ReportQuery,
        responses=(ResponseSpec(description="One page.", model=ReportList),),
    ),
    operation(
        id="getReport",
        path="/v1/reports/{id}",
        summary="Read a report",
        description="It can be read once it is recorded, which usually takes milliseconds.",
        handler=forward(
            lambda request: GetReport(account=request.account, report_id=request.path["id"]),
            report_view,
        ),
        responses=(ResponseSpec(description="The report.", model=Report),),
        problems=(NOT_FOUND,),
    ),
)
