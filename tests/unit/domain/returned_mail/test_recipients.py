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


def test_a_recipient_s_reason_is_not_that_of_another() -> None:
    """What stands before the recipients is about all of them."""
    mail = """From: MAILER-DAEMON@mx.example.org
Subject: Returned mail

%s

  a@example.com
    Unrouteable address
  b@example.com
    550 5.7.1 Blocked as spam
  c@example.com
    It did not work.
"""
    for before, third in (("Not delivered:", "other"), ("The host is not reachable.", "network")):
        categories = [one.category for one in read((mail % before).encode()).recipients]
        assert categories[1:] == ["policy", third]
    assert read((mail % "Not delivered:").encode()).recipients[0].category == "address"


def test_the_rows_of_a_table_name_the_recipients_that_failed() -> None:
    """Each row has an address and its reply."""
    mail = b"""From: MAILER-DAEMON@mx.example.org
Subject: Delivery report

a@example.com 550 5.1.1 unknown
b@example.com 452 4.2.2 full
c@example.com 250 2.0.0 delivered

Return-Path: <news@sender.example>
Received: from x by y
To: a@example.com
"""
    found = [(one.address, one.code) for one in read(mail).recipients]
    assert found == [("a@example.com", 550), ("b@example.com", 452)]
