"""Category and permanence of a failure."""

from __future__ import annotations

import pytest

from domain.returned_mail.categories import category_of, permanence_of
from domain.returned_mail.report import Category


@pytest.mark.parametrize(
    ("code", "extended", "description", "category"),
    [
        (550, "5.1.1", "mailbox full", Category.ADDRESS),
        (550, "5.1.2", "", Category.DOMAIN),
        (550, "5.2.1", "", Category.ADDRESS),
        (552, "5.2.2", "", Category.MAILBOX_FULL),
        (552, "5.3.4", "", Category.SIZE),
        (552, "5.2.3", "", Category.SIZE),
        (450, "4.3.2", "", Category.SYSTEM),
        (None, "4.4.1", "", Category.NETWORK),
        (501, "5.5.4", "", Category.SYSTEM),
        (554, "5.6.0", "", Category.CONTENT),
        (550, "5.7.1", "user unknown", Category.POLICY),
        (421, "4.7.28", "", Category.RATE),
        (550, "5.7.17", "", Category.ADDRESS),
        (550, "5.0.0", "Quota exceeded", Category.MAILBOX_FULL),
        (550, "5.0.0", "No such user here", Category.ADDRESS),
        (550, "", "Host or domain name not found", Category.DOMAIN),
        (554, "", "message size exceeds size limit", Category.SIZE),
        (451, "", "too many connections", Category.RATE),
        (554, "", "virus found", Category.CONTENT),
        (554, "", "blocked using a list", Category.POLICY),
        (None, "", "connection timed out", Category.NETWORK),
        (550, "", "", Category.ADDRESS),
        (556, "5.1.10", "Recipient not accepted", Category.DOMAIN),
        (550, "5.1.10", "Recipient not found", Category.ADDRESS),
        (552, "", "", Category.MAILBOX_FULL),
        (451, "", "", Category.SYSTEM),
        (451, "4.3.0", "host mx[192.0.2.1] said: 451 4.3.0 Temporary lookup failure", Category.SYSTEM),
        (550, "", "User unknown (reply 550)", Category.ADDRESS),
        (None, "5.2.0", "", Category.ADDRESS),
        (None, "", "user@quota.example.com", Category.OTHER),
        (554, "", "mx.connect.example.com said: no Resent-From field given", Category.CONTENT),
        (None, "5.9.8", "Spam", Category.POLICY),
        (554, "5.0.0", "Rcpt does not exist", Category.ADDRESS),
        (None, "5.0.0", "[example.com]: Name or service not known", Category.DOMAIN),
        (None, "", "domain name does not appear to be registered", Category.DOMAIN),
        (None, "5.0.0", "no valid MX hosts found", Category.DOMAIN),
        (None, "", "mail box space not enough", Category.MAILBOX_FULL),
        (None, "", "Delivery failed 20 attempts", Category.NETWORK),
        (None, "5.0.0", "Command died with status 17", Category.SYSTEM),
        (None, "", "", Category.OTHER),
    ],
)
def test_status_then_words_then_code_decide(code: int | None, extended: str, description: str, category: str) -> None:
    """A specific status decides. Words only count without one, and never those in an address."""
    assert category_of(code, extended, description) == category


def test_the_rest_of_a_notification_counts_when_nothing_else_shows_a_reason() -> None:
    """Some servers explain the reason before they list the recipients."""
    assert category_of(None, "", "these recipients did not receive it", "quota exceeded") == Category.MAILBOX_FULL
    assert category_of(550, "", "these recipients did not receive it", "quota exceeded") == Category.ADDRESS


@pytest.mark.parametrize(
    ("action", "code", "extended", "category", "permanent"),
    [
        ("failed", 550, "5.1.1", Category.ADDRESS, True),
        ("failed", None, "4.4.7", Category.NETWORK, False),
        ("failed", 450, "", Category.OTHER, False),
        ("failed", None, "", Category.ADDRESS, True),
        ("failed", None, "", Category.MAILBOX_FULL, False),
        ("failed", None, "", Category.OTHER, None),
        ("delayed", None, "", Category.OTHER, False),
        ("relayed", 250, "2.0.0", Category.OTHER, None),
    ],
)
def test_permanence_follows_the_status(
    action: str, code: int | None, extended: str, category: Category, permanent: bool | None
) -> None:
    """Without status and code, the reason decides, or it stays unknown."""
    assert permanence_of(action, code, extended, category) is permanent
