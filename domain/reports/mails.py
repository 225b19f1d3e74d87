"""Statements of a returned mail: its events with their fields."""

from __future__ import annotations

from typing import Any

from domain.event_catalogue.event_fields import MAX_MIME_BYTES
from domain.event_catalogue.triggers import Trigger
from domain.reports.statements import Statement
from domain.returned_mail.outcome import Outcome, outcomes
from domain.returned_mail.raw import mail_text
from domain.returned_mail.report import RecipientReport, ReturnedMail


def mail_statements(mail: ReturnedMail, raw: bytes, arrived_ms: int) -> list[Statement]:
    """The events of a returned mail, those of its recipients first. `raw` is the mail itself."""
    return [_statement(outcome, mail, raw, arrived_ms) for outcome in outcomes(mail)]


def _statement(outcome: Outcome, mail: ReturnedMail, raw: bytes, arrived_ms: int) -> Statement:
    if outcome.recipient is not None:
        return Statement(
            type=str(outcome.type),
            time_ms=arrived_ms,
            recipient=outcome.recipient.address or None,
            fields=_fields_of_recipient(str(outcome.type), outcome.recipient),
            is_one_of_several=len(mail.recipients) > 1,
        )
    fields: dict[str, Any] = {}
    mime = None
    if outcome.type == Trigger.BOUNCE:
        fields |= _known({"category": mail.category.value, "permanent": _flag(mail.permanent)})
    if outcome.type in {Trigger.BOUNCE, Trigger.ABUSE}:
        text = mail_text(raw, MAX_MIME_BYTES)
        mime = text.text
        fields |= _known({"envelope": mail.envelope})
        if outcome.type == Trigger.ABUSE:
            fields |= _known({"emailfrom": mail.complainant})
        fields |= {"mime_charset": text.charset} | ({"mime_truncated": 1} if text.truncated else {})
    return Statement(str(outcome.type), arrived_ms, _recipient_of_mail(mail), fields, mime)


def _fields_of_recipient(type_: str, recipient: RecipientReport) -> dict[str, Any]:
    is_failure = type_ == Trigger.FAILURE
    fields = {"action": "failed", "state": "bounce"} if is_failure else {}
    reply = {
        "code": str(recipient.code or ""),
        "extended": recipient.extended,
        "description": recipient.description,
    }
    if not is_failure:
        return _known(reply)
    return fields | _known(reply | {"category": recipient.category.value, "permanent": _flag(recipient.permanent)})


def _recipient_of_mail(mail: ReturnedMail) -> str | None:
    """The recipient whom the whole mail concerns, as far as it names a single one."""
    if mail.complainant:
        return mail.complainant
    addresses = {recipient.address for recipient in mail.recipients if recipient.address}
    return addresses.pop() if len(addresses) == 1 else None


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None)}
