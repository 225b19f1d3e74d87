"""API models of reports. The fields of a report come from `domain.event_catalogue.report_fields`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, create_model
from typing_extensions import TypeAliasType

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, Next, OneOf, PageQuery, RequestModel, Time, tidy_schema
from domain.event_catalogue.report_fields import REPORT_FIELDS, ReportField
from domain.event_catalogue.report_values import (
    MAX_ADDRESS_CHARS,
    EnhancedStatus,
    IpAddress,
    MailSource,
    MessageReference,
    ReportAddress,
    ReportChoice,
    ReportText,
    ReportTime,
    ReportType,
    SmtpCode,
)
from domain.reports import intake

ReportState = TypeAliasType(
    "ReportState", Annotated[str, OneOf(tuple(state.name.lower() for state in intake.ReportState))]
)
Schema = dict[str, Any]


def _schema(type_: ReportType) -> Schema:
    """The JSON schema of a field's values."""
    match type_:
        case ReportText(max_chars, lines, min_chars):
            pattern = {} if lines else {"pattern": NAME_PATTERN}
            return {"type": "string", "minLength": min_chars, "maxLength": max_chars, **pattern}
        case ReportChoice(names):
            return {"type": "string", "enum": list(names)}
        case ReportAddress():
            return {"type": "string", "format": "email", "maxLength": MAX_ADDRESS_CHARS}
        case MessageReference(max_chars):
            return {"type": "string", "minLength": 1, "maxLength": max_chars, "pattern": NAME_PATTERN}
        case SmtpCode():
            number = {"type": "integer", "minimum": 200, "maximum": 599}
            return {"anyOf": [number, {"type": "string", "pattern": "^[2-5][0-9]{2}$"}]}
        case EnhancedStatus():
            return {"type": "string", "pattern": r"^[245]\.[0-9]{1,3}\.[0-9]{1,3}$"}
        case IpAddress():
            return {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
        case MailSource():
            return {"type": "string", "minLength": 1}
        case ReportTime():
            return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}


def _field(field: ReportField) -> Any:
    about = {**_schema(field.type), "description": field.meaning, "examples": [field.example]}
    return Annotated[Any, Field(json_schema_extra=about)], ... if field.name == "type" else ABSENT


#: A report as callers send it.
EXAMPLE: Final = {
    name: REPORT_FIELDS[name].example
    for name in ("type", "reference", "event", "state", "code", "extended", "description")
}


def _describe(schema: Schema) -> None:
    tidy_schema(schema)
    # As `anyOf`, this rule would be a union of two models for generators of clients.
    schema.update({"if": {"not": {"required": ["message"]}}, "then": {"required": ["reference"]}})
    schema["examples"] = [EXAMPLE]


class _ReportModel(RequestModel):
    model_config = ConfigDict(json_schema_extra=_describe)


#: Only describes reports: `domain.reports.validation` reads them.
NewReport: Any = create_model(
    "NewReport",
    __base__=_ReportModel,
    __doc__="A statement about a message by another system. Fields that its event does not have are left out of it.",
    **{name: _field(field) for name, field in REPORT_FIELDS.items()},
)


class RejectedLine(AnswerModel):
    """A line of an NDJSON body that was not accepted."""

    line: int = Field(description="Its number; the first line is 1.")
    pointer: str = Field(description="The invalid field (RFC 6901); empty for the whole line.")
    detail: str


class AcceptedReports(AnswerModel):
    """Reports that are on disk now."""

    accepted: int = Field(description="Number of reports, including repeats of earlier ones.")
    errors: list[RejectedLine] = Field(description="The lines that were not accepted; only with NDJSON.")


class AcceptedMail(AnswerModel):
    """A returned mail that is on disk now."""

    id: str = Field(description="The report's id, for `GET /v1/reports/{id}`.")


class Report(AnswerModel):
    """A report and what became of it."""

    id: str
    state: ReportState = Field(
        description="`repeated`: the same report had been recorded before, see `first`. `refused`: its API key had "
        "been revoked before it arrived. `erased`: the person whom it is about was erased."
    )
    source: Annotated[str, OneOf(intake.SOURCES)]
    kind: str = Field(description="The type of a report, or what kind of mail came back.")
    time: Time = Field(description="When it arrived.")
    events: list[str] = Field(description="Ids of its events.")
    truncated: bool = Field(default=ABSENT, description="Whether parts of a returned mail were ignored.")
    first: str = Field(default=ABSENT, description="The id of the report that this one repeats.")


class ReportList(AnswerModel):
    """Reports, newest first."""

    data: list[Report]
    next: Next


class ReportQuery(PageQuery):
    """Filters of reports."""

    state: ReportState | None = Field(default=None, description="Only reports in this state.")
