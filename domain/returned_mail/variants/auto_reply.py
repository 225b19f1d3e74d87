"""Automatic replies of a recipient's software, such as vacation notices. Source: RFC 3834."""

from __future__ import annotations

from domain.returned_mail import addresses
from domain.returned_mail.evidence import auto_reply_points, bounce_points
from domain.returned_mail.finding import Finding, paragraph_at, recipient
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Category, Kind, RecipientReport
from domain.returned_mail.statuses import find_reply


def read_auto_reply(mail: Mail) -> Finding | None:
    """A mail with more signs of an automatic reply than of a bounce."""
    points = auto_reply_points(mail)
    if points < 2 or points <= bounce_points(mail):
        return None
    address = addresses.first(mail.header.get("from"))
    return Finding(kind=Kind.AUTO_REPLY, recipients=(_recipient(address, mail.text),))


def _recipient(address: str, text: str) -> RecipientReport:
    """The recipient, who has failed if the text contains a server's reply with its status, such as `550 5.1.1`.

    One of the two is not enough: vacation notices contain dates and extensions.
    """
    reply = find_reply(text)
    if reply.code is None or reply.extended[:1] not in ("4", "5"):
        return RecipientReport(address=address, category=Category.AUTO_REPLY)
    return recipient(address, "", Kind.FAILED, reply, paragraph_at(text, reply.start))
