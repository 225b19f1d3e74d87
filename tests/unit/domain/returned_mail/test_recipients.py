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


def test_the_address_that_announces_the_server_s_reply_is_the_recipient() -> None:
    """Other sentences name contacts."""
    mail = b"""From: postmaster@mx.example.org
Subject: Mail delivery failed

Your mail to jane@example.com was rejected:
550 5.7.1 Blocked by policy

If this is wrong, write to desk@example.com or to security@example.com today.
Otherwise mail abuse-desk@example.com again.
"""
    report = read(mail)
    assert [one.address for one in report.recipients] == ["jane@example.com"]
    assert report.recipients[0].extended == "5.7.1"


def test_the_subject_names_the_recipient_if_nothing_else_does() -> None:
    """An address there that is not the reader's own."""
    mail = (
        "From: MAILER-DAEMON@mx.example.org\nTo: news@sender.example\nSubject: Undeliverable: %s unknown\n\nUnknown.\n"
    )
    for address, found in (("jane@example.com", ["jane@example.com"]), ("news@sender.example", [])):
        assert [one.address for one in read((mail % address).encode()).recipients if one.address] == found
