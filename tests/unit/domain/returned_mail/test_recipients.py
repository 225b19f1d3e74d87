"""Recipients that the text of a notification names."""

from __future__ import annotations

from domain.returned_mail.reader import read


def test_aligned_fields_of_the_original_name_no_recipient() -> None:
    """Some programs put spaces before the colon; a Message-ID looks like an address."""
    mail = b"""From: MAILER-DAEMON@mx.example.org
Subject: Undeliverable

Not delivered:

  Message-ID  : 2020.1234@sender.example
  From        : news@sender.example
  Recipient   : jane@example.com
"""
    assert [recipient.address for recipient in read(mail).recipients] == ["jane@example.com"]
