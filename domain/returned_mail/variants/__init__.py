"""Kinds of returned mail: one module per variant, and the table with the order in which they are tried."""

from __future__ import annotations

from typing import Final, Protocol

from domain.returned_mail.finding import Finding
from domain.returned_mail.mail import Mail
from domain.returned_mail.variants.auto_reply import read_auto_reply
from domain.returned_mail.variants.challenge import read_challenge
from domain.returned_mail.variants.delivery_status import read_delivery_status
from domain.returned_mail.variants.disposition import read_disposition
from domain.returned_mail.variants.feedback_report import read_feedback_report
from domain.returned_mail.variants.provider_complaint import read_provider_complaint
from domain.returned_mail.variants.server_notice import read_server_notice


class Variant(Protocol):
    """Reads one kind of returned mail."""

    def __call__(self, mail: Mail) -> Finding | None:
        """The content of the mail; None if it is not of this kind."""
        ...


#: The first variant that recognises a mail decides. Machine-readable reports come before texts.
VARIANTS: Final[tuple[Variant, ...]] = (
    read_feedback_report,
    read_provider_complaint,
    read_delivery_status,
    read_disposition,
    read_challenge,
    read_auto_reply,
    read_server_notice,
)
