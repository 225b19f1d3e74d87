"""Reader of returned mail."""

from __future__ import annotations

from dataclasses import replace

from domain.returned_mail.categories import worst
from domain.returned_mail.finding import Finding
from domain.returned_mail.keys import keys_of
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Category, Kind, ReturnedMail
from domain.returned_mail.variants import VARIANTS

#: Kinds whose category follows from the kind.
_CATEGORIES = {Kind.AUTO_REPLY: Category.AUTO_REPLY, Kind.CHALLENGE: Category.CHALLENGE}

#: The report of a mail that no one can read.
UNREADABLE = ReturnedMail(kind=Kind.UNREADABLE)


def read(raw: bytes, envelope: str = "") -> ReturnedMail:
    """The content of a returned mail. Accepts any bytes.

    `envelope` is the address that the mail was delivered to, if the transport showed it.
    """
    mail = Mail(raw, envelope)
    finding = _finding(mail)
    category, permanent = worst(finding.recipients)
    return ReturnedMail(
        kind=finding.kind,
        recipients=finding.recipients,
        category=_CATEGORIES.get(finding.kind, category),
        permanent=permanent,
        complainant=finding.complainant,
        envelope=mail.envelope,
        keys=keys_of(mail, finding.envelope_id),
        truncated=mail.truncated or finding.truncated,
    )


def needs_addresses(report: ReturnedMail) -> bool:
    """Whether a failure names no recipient, so that another detector should look for one."""
    return report.kind in (Kind.FAILED, Kind.DELAYED, Kind.BOUNCE) and not any(r.address for r in report.recipients)


def with_addresses(report: ReturnedMail, addresses: list[str]) -> ReturnedMail:
    """A failure with the recipients that another detector found."""
    pattern = report.recipients[0] if report.recipients else None
    if not addresses or pattern is None:
        return report
    return replace(report, recipients=tuple(replace(pattern, address=address) for address in addresses))


def _finding(mail: Mail) -> Finding:
    for variant in VARIANTS:
        if finding := variant(mail):
            return finding
    # Without a single field, it is no mail at all.
    return Finding(kind=Kind.OTHER if len(mail.header) else Kind.UNREADABLE)
