"""Complaints and other feedback in the Abuse Reporting Format. Sources: RFC 5965, RFC 6591, RFC 6430."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from domain.returned_mail import addresses
from domain.returned_mail.fields import Fields, groups
from domain.returned_mail.finding import Finding
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Kind, RecipientReport

_KINDS: Final[Mapping[str, Kind]] = {
    "abuse": Kind.ABUSE,
    "fraud": Kind.FRAUD,
    "virus": Kind.VIRUS,
    "opt-out": Kind.OPT_OUT,
    "opt-out-list": Kind.OPT_OUT,
    "not-spam": Kind.NOT_SPAM,
    "auth-failure": Kind.AUTH_FAILURE,
    "dmarc": Kind.AUTH_FAILURE,
}
_REPORT_FIELD: Final = re.compile(r"^feedback-type:", re.IGNORECASE | re.MULTILINE)


def read_feedback_report(mail: Mail) -> Finding | None:
    """A mail with the fields of a report, in a part of their own or in its text."""
    text = mail.machine_text("message/feedback-report", field=_REPORT_FIELD)
    if not text:
        return None
    fields: Fields = {}
    for group in groups(text):
        fields = group | fields
    kind = _KINDS.get(fields.get("feedback-type", "").strip().lower(), Kind.OTHER)
    address = _complainant(fields, mail)
    return Finding(
        kind=kind,
        recipients=(RecipientReport(address=address),) if address else (),
        complainant=address,
        envelope_id=fields.get("original-envelope-id", ""),
    )


def _complainant(fields: Fields, mail: Mail) -> str:
    """The person who complained: as the report says, else the only recipient of the reported message."""
    for name in ("original-rcpt-to", "removal-recipient"):
        if address := addresses.of_status_field(fields.get(name, "")):
            return address
    recipients = addresses.all_in(", ".join(mail.original_values("to")))
    return recipients[0] if len(set(recipients)) == 1 else ""
