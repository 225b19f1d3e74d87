"""Fields of a report as callers send it. Most are fields of the event, whose rows have the type of the report's value.

The API's validation, its OpenAPI document and its reference page derive from this table. Source: the contract,
section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from domain.event_catalogue.event_fields import FIELDS
from domain.event_catalogue.report_values import MessageReference, ReportChoice, ReportText, ReportTime, ReportType
from domain.event_catalogue.triggers import REPORTED
from domain.validation import MAX_NAME_CHARS

#: Longer than a line of a mail may be (RFC 5322, section 2.1.1).
MAX_REFERENCE_CHARS: Final = 1000


@dataclass(frozen=True, slots=True)
class ReportField:
    """One field of a report."""

    name: str
    #: One sentence.
    meaning: str
    example: Any
    type: ReportType
    #: The triggers whose events have the field. Reports of other types may have it, but their events do not.
    triggers: tuple[str, ...] = REPORTED


_OWN: Final = (
    ReportField("type", "What happened.", "failure", ReportChoice(REPORTED)),
    ReportField(
        "message",
        "The message's id. Either this or `reference` is required.",
        "spring-123",
        ReportText(MAX_NAME_CHARS),
    ),
    ReportField(
        "reference",
        "The `reference` that the message was registered with: its Message-ID, or the provider's id.",
        "<20260301.93000@shop.example>",
        MessageReference(MAX_REFERENCE_CHARS),
    ),
    ReportField(
        "time",
        "When it happened, as RFC 3339 or Unix seconds, at most 10 minutes ahead and 90 days old. By default, now.",
        "2026-03-01T09:30:00Z",
        ReportTime(),
    ),
    ReportField(
        "event",
        "Your own id of what happened. Two reports with the same id are one event, whatever else they contain.",
        "smtp-4F1A2B3C4D",
        ReportText(MAX_NAME_CHARS),
    ),
)

#: By name, in the order of the documentation.
REPORT_FIELDS: Final[dict[str, ReportField]] = {
    field.name: field
    for field in (
        *_OWN,
        *(
            ReportField(
                row.name,
                row.meaning,
                row.example,
                row.report,
                tuple(trigger for trigger in row.triggers if trigger in REPORTED),
            )
            for row in FIELDS
            if row.report is not None
        ),
    )
}
#: The fields that a report's event takes over, by trigger. `recipient` comes from the message, if there is one.
EVENT_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    trigger: tuple(
        field.name
        for field in REPORT_FIELDS.values()
        if trigger in field.triggers and field not in _OWN and field.name not in {"recipient", "mime"}
    )
    for trigger in REPORTED
}
