"""Message disposition notifications: some servers reject mail with them. Source: RFC 8098."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail import addresses
from domain.returned_mail.fields import Fields, groups
from domain.returned_mail.finding import Finding, one_line, recipient
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Kind, RecipientReport
from domain.returned_mail.statuses import find_reply

#: Dispositions of a mail that no one will read.
_REJECTED: Final = re.compile(r";\s*(?:deleted|failed|denied)", re.IGNORECASE)


def read_disposition(mail: Mail) -> Finding | None:
    """A mail with the fields of a disposition. A displayed mail is `other`."""
    text = mail.machine_text("message/disposition-notification")
    if not text:
        return None
    fields: Fields = {}
    for group in groups(text):
        fields = group | fields
    address = addresses.of_status_field(fields.get("original-recipient", "")) or addresses.of_status_field(
        fields.get("final-recipient", "")
    )
    if not _REJECTED.search(fields.get("disposition", "")):
        return Finding(kind=Kind.OTHER, recipients=(RecipientReport(address=address),) if address else ())
    words = one_line(mail.text)
    report = recipient(address, "", "failed", find_reply(mail.text), words)
    return Finding(kind=Kind.BOUNCE, recipients=(report,))
