"""Statements: what a report says about one message, in a form that does not depend on where it came from."""

from __future__ import annotations

from typing import Any, NamedTuple

from domain.enrichment import message_fields, profile_fields, time_fields
from domain.event_catalogue.report_fields import EVENT_FIELDS
from domain.event_catalogue.triggers import Trigger
from domain.returned_mail.categories import category_of, permanence_of
from domain.tracking import MessageFacts, ProfileFacts


class MessageKeys(NamedTuple):
    """The names by which a report refers to its message, most reliable first."""

    #: Keys of messages from genuine tokens of the account.
    keys: tuple[int, ...] = ()
    #: Ids of messages.
    ids: tuple[str, ...] = ()
    #: `reference` of messages.
    references: tuple[str, ...] = ()


class Statement(NamedTuple):
    """An event of one message, as a report states it."""

    #: A trigger's name.
    type: str
    #: Unix time, milliseconds.
    time_ms: int
    #: The recipient according to the report; that of the message counts if there is one.
    recipient: str | None
    #: The event's own fields, without `recipient` and `mime`.
    fields: dict[str, Any]
    #: The returned mail as text.
    mime: str | None = None
    #: Whether the report is about several recipients, of whom the message may have another one.
    is_one_of_several: bool = False


def statement_of(report: dict[str, Any], arrived_ms: int) -> tuple[MessageKeys, Statement]:
    """The message and the statement of a canonical report. Fields that its event does not have are left out."""
    type_: str = report["type"]
    fields = {name: report[name] for name in EVENT_FIELDS[type_] if report.get(name)}
    if type_ == Trigger.FAILURE:
        fields = {"action": "failed"} | fields
    if type_ in {Trigger.FAILURE, Trigger.BOUNCE}:
        fields |= _reason(report)
    mime: str | None = report.get("mime") if type_ in {Trigger.BOUNCE, Trigger.ABUSE} else None
    if mime is not None:
        fields |= {"mime_charset": "utf-8"} | ({"mime_truncated": 1} if report.get("mime_truncated") else {})
    keys = MessageKeys(
        ids=(report["message"],) if "message" in report else (),
        references=(report["reference"],) if "reference" in report else (),
    )
    return keys, Statement(type_, report.get("time", arrived_ms), report.get("recipient"), fields, mime)


def _reason(report: dict[str, Any]) -> dict[str, Any]:
    """The fields that follow from the receiving server's reply, if the report has one."""
    if not any(report.get(name) for name in ("code", "extended", "description")):
        return {}
    code = int(report["code"]) if "code" in report else None
    extended: str = report.get("extended", "")
    category = category_of(code, extended, report.get("description", ""))
    permanent = permanence_of("failed", code, extended, category)
    return {"category": category.value} | ({} if permanent is None else {"permanent": int(permanent)})


def statement_fields(
    event_id: bytes, statement: Statement, message: MessageFacts | None, profile: ProfileFacts | None
) -> dict[str, object]:
    """The fields of the POST for a statement, without unknown values and without `mime`."""
    if message is None:
        fields = time_fields(event_id, statement.type, statement.time_ms)
        if statement.recipient:
            fields["recipient"] = statement.recipient
        return fields | statement.fields
    fields = message_fields(event_id, statement.type, statement.time_ms, message) | statement.fields
    if statement.is_one_of_several and statement.recipient:
        fields["recipient"] = statement.recipient
    return fields | profile_fields(message, profile)
