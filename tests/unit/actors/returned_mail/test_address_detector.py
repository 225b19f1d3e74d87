"""The fallback for recipients."""

from __future__ import annotations

import time

import pytest

from actors.returned_mail.address_detector import detect_addresses
from domain.returned_mail.limits import MAX_RECIPIENTS

QMAIL = b"""From: MAILER-DAEMON@example.org
Subject: failure notice

Hi. This is the qmail-send program at example.org.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

%s
--- Below this line is a copy of the message.
"""

DSN = b"""From: MAILER-DAEMON@example.org
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

"""


def test_addresses_of_a_known_form_are_found() -> None:
    """A notification of qmail has its recipients in angle brackets."""
    assert detect_addresses(QMAIL % b"<user@example.com>:\nno such user\n") == ["user@example.com"]


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\n",
        b"Subject: failure\n\n<user@example.com>:\n",
        b"From: \n\ntext",
        b"\xff\x00\xfe",
        b"From: a@b\n" * 5000,
    ],
)
def test_mail_that_the_detectors_do_not_expect_has_no_recipients(mail: bytes) -> None:
    """No error of a detector gets out, such as the one for a mail without a sender."""
    assert detect_addresses(mail) == []


def test_deep_nesting_has_no_recipients() -> None:
    """The standard parser gives up on thousands of levels."""
    assert detect_addresses(b"From: a@b\n" + b"Content-Type: message/rfc822\n\n" * 5000) == []


def test_the_number_of_recipients_is_limited() -> None:
    """Further recipients are left out."""
    lines = b"".join(b"<user%d@example.com>:\nno such user\n\n" % number for number in range(1000))
    assert len(detect_addresses(QMAIL % lines)) == MAX_RECIPIENTS


def test_the_cost_of_empty_lines_is_limited() -> None:
    """Each of them begins another message in a DSN; the parser, which reads one mail at a time, needs no second."""
    began_s = time.process_time()
    assert detect_addresses(DSN + b"\n" * 65_536) == []
    assert time.process_time() - began_s < 1
