"""Challenges: mails that ask the sender to prove that a person wrote the mail."""

from __future__ import annotations

from domain.returned_mail import addresses
from domain.returned_mail.evidence import bounce_points, challenge_points
from domain.returned_mail.finding import Finding
from domain.returned_mail.mail import Mail
from domain.returned_mail.report import Category, Kind, RecipientReport


def read_challenge(mail: Mail) -> Finding | None:
    """A mail with a link or an address for consent, and at most one sign of a bounce."""
    if challenge_points(mail) < 3 or bounce_points(mail) > 1:
        return None
    address = addresses.first(mail.header.get("from"))
    return Finding(kind=Kind.CHALLENGE, recipients=(RecipientReport(address=address, category=Category.CHALLENGE),))
