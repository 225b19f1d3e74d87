"""Complaints in providers' own forms: Hotmail's (Junk Mail Reporting Program) and Apple's unsubscriptions."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail import addresses
from domain.returned_mail.finding import Finding
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Kind, RecipientReport

#: The subject of Hotmail's complaints, whose reported mail does not always have the field.
_COMPLAINT: Final = re.compile(r"complaint about message from [0-9a-fx.:]{7,45}\s*$", re.IGNORECASE)


def read_provider_complaint(mail: Mail) -> Finding | None:
    """A mail that a provider marks as a complaint by a field of its own."""
    # Hotmail puts the field into the reported mail, which some servers pass on without the report around it.
    reported = [*mail.original_values("x-hmxmroriginalrecipient"), *mail.header.all("x-hmxmroriginalrecipient")]
    if reported:
        return _finding(Kind.ABUSE, addresses.first(reported[0]))
    if mail.originals and _COMPLAINT.match(mail.subject):
        recipients = addresses.all_in(", ".join(mail.original_values("to")))
        return _finding(Kind.ABUSE, recipients[0] if len(set(recipients)) == 1 else "")
    if mail.header.get("x-apple-unsubscribe").strip().lower() == "true":
        return _finding(Kind.OPT_OUT, addresses.first(mail.header.get("from")))
    return None


def _finding(kind: Kind, address: str) -> Finding:
    recipients = (RecipientReport(address=address),) if address else ()
    return Finding(kind=kind, recipients=recipients, complainant=address)
