"""Kinds of returned mail, and what decides between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.returned_mail.limits import MAX_RECIPIENTS
from domain.returned_mail.reader import read
from domain.returned_mail.report import Category, Kind, ReturnedMail
from tests.returned_mail_samples import samples, written_samples

REPORT = """From: MAILER-DAEMON@mx.example.org
To: news@example.com
Content-Type: multipart/report; report-type=%s; boundary="x"

--x

text
--x
Content-Type: %s

%s
--x--
"""


def dsn(*groups: str) -> bytes:
    fields = "Reporting-MTA: dns; mx\n\n" + "\n".join(groups)
    return (REPORT % ("delivery-status", "message/delivery-status", fields)).encode()


def group(address: str, action: str, status: str = "") -> str:
    return f"Final-Recipient: rfc822; {address}\nAction: {action}\n" + (f"Status: {status}\n" if status else "")


@pytest.mark.parametrize(
    ("actions", "kind"),
    [
        (["delivered", "failed", "delayed"], Kind.FAILED),
        (["delivered", "Delayed"], Kind.DELAYED),
        (["relayed", "delivered"], Kind.DELIVERED),
        (["expanded", "relayed"], Kind.RELAYED),
        (["expanded"], Kind.EXPANDED),
        (["failure"], Kind.FAILED),
        (["failed (Bad destination mailbox address)"], Kind.FAILED),
        (["error"], Kind.FAILED),
    ],
)
def test_the_worst_action_is_the_kind_of_a_dsn(actions: list[str], kind: Kind) -> None:
    """Some programs write other words than RFC 3464 allows."""
    report = read(dsn(*(group(f"u{number}@example.com", action) for number, action in enumerate(actions))))
    assert (report.kind, len(report.recipients)) == (kind, len(actions))


@pytest.mark.parametrize(("status", "kind"), [("5.1.1", "failed"), ("4.4.1", "delayed"), ("2.0.0", "delivered")])
def test_without_a_known_action_the_status_decides(status: str, kind: str) -> None:
    """The class of the status is success, a temporary or a permanent failure."""
    assert read(dsn(group("a@example.com", "nachricht", status))).kind == kind


def test_each_recipient_has_its_own_result() -> None:
    """Code, status and text come from the recipient's own fields."""
    first = group("a@example.com", "failed", "5.1.1") + "Diagnostic-Code: smtp; 550 5.1.1 no such user\n"
    second = group("b@example.com", "failed", "5.2.2") + "Diagnostic-Code: smtp; 552 5.2.2 full\n"
    one, other = read(dsn(first, second)).recipients

    assert (one.code, one.extended, one.description, one.category) == (
        550,
        "5.1.1",
        "550 5.1.1 no such user",
        "address",
    )
    assert (other.code, other.extended, other.category, other.permanent) == (552, "5.2.2", "mailbox-full", True)


def test_the_original_recipient_is_the_address_and_the_final_one_is_kept() -> None:
    """The message was sent to the original recipient."""
    (only,) = read(dsn("Original-Recipient: rfc822; a@example.com\n" + group("b@example.net", "failed"))).recipients
    assert (only.address, only.final_address) == ("a@example.com", "b@example.net")


def test_the_server_s_reply_keeps_its_code_whatever_the_class_of_its_status() -> None:
    """A server that gave up answers with a permanent code and the temporary reason."""
    fields = group("a@example.com", "failed", "4.4.7") + "Diagnostic-Code: smtp; 550 4.4.7 message expired\n"
    (one,) = read(dsn(fields)).recipients
    assert (one.code, one.extended, one.category, one.permanent) == (550, "4.4.7", Category.NETWORK, False)

    (other,) = read(dsn(group("a@example.com", "failed", "4.0.0") + "Diagnostic-Code: smtp; 550 no\n")).recipients
    assert (other.code, other.extended) == (None, "4.0.0")


@pytest.mark.parametrize("type_", ["application/octet-stream", "text/plain\nContent-Disposition: attachment"])
def test_a_report_is_known_by_its_fields_if_a_gateway_has_changed_its_type(type_: str) -> None:
    """The fields are in an attachment instead of a part with the standard's type."""
    fields = "Reporting-MTA: dns; mx\n\n" + group("a@example.com", "failed", "5.1.1")
    report = read((REPORT % ("delivery-status", type_, fields)).encode())
    assert (report.kind, report.recipients[0].address, report.category) == (
        Kind.FAILED,
        "a@example.com",
        Category.ADDRESS,
    )
    complaint = "Feedback-Type: abuse\nOriginal-Rcpt-To: a@example.com\n"
    report = read((REPORT % ("feedback-report", type_, complaint)).encode())
    assert (report.kind, report.complainant) == (Kind.ABUSE, "a@example.com")


def test_internationalised_addresses_are_read() -> None:
    """RFC 6533: another type of part, and addresses in UTF-8."""
    fields = "Reporting-MTA: dns; mx\n\nFinal-Recipient: utf-8; 用户@例子.公司\nAction: failed\nStatus: 5.1.1\n"
    report = read((REPORT % ("delivery-status", "message/global-delivery-status", fields)).encode())
    assert [recipient.address for recipient in report.recipients] == ["用户@例子.公司"]


def test_recipients_beyond_the_limit_are_left_out_and_reported() -> None:
    """10,000 recipients in a DSN or in a text."""
    report = read(dsn(*(group(f"u{number}@example.com", "failed") for number in range(10_000))))
    assert (len(report.recipients), report.truncated) == (MAX_RECIPIENTS, True)

    text = "".join(f"<u{number}@example.com>:\n550 unknown\n\n" for number in range(10_000))
    report = read(f"From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n{text}".encode())
    assert (len(report.recipients), report.truncated) == (MAX_RECIPIENTS, True)


@pytest.mark.parametrize(
    ("feedback_type", "kind"),
    [
        ("abuse", Kind.ABUSE), ("Fraud", Kind.FRAUD), ("virus", Kind.VIRUS), ("opt-out", Kind.OPT_OUT),
        ("opt-out-list", Kind.OPT_OUT), ("not-spam", Kind.NOT_SPAM), ("auth-failure", Kind.AUTH_FAILURE),
        ("other", Kind.OTHER), ("miscategorized", Kind.OTHER),
    ],
)  # fmt: skip
def test_the_feedback_type_is_the_kind_of_a_report(feedback_type: str, kind: Kind) -> None:
    """RFC 5965. An unknown type is `other`, never a complaint."""
    fields = f"Feedback-Type: {feedback_type}\nVersion: 1\nOriginal-Rcpt-To: <a@example.com>\n"
    report = read((REPORT % ("feedback-report", "message/feedback-report", fields)).encode())
    assert (report.kind, report.complainant) == (kind, "a@example.com")


def test_a_report_with_a_redacted_recipient_has_no_complainant() -> None:
    """RFC 6590: a hash is no address."""
    fields = "Feedback-Type: abuse\nOriginal-Rcpt-To: 8f7d6e5c4b3a\n"
    report = read((REPORT % ("feedback-report", "message/feedback-report", fields)).encode())
    assert (report.kind, report.complainant, report.recipients) == (Kind.ABUSE, "", ())


def test_hotmail_marks_the_reported_mail() -> None:
    """The field also counts if only the reported mail itself comes in."""
    field = "X-HmXmrOriginalRecipient: jane@hotmail.example\n"
    reported = f"{field}From: news@sender.example\nTo: jane@hotmail.example\nSubject: Hello\n\nHi\n"
    report = f"From: staff@hotmail.example\nContent-Type: message/rfc822\n\n{reported}"
    for mail in (reported, report):
        found = read(mail.encode())
        assert (found.kind, found.complainant) == (Kind.ABUSE, "jane@hotmail.example")


def test_apple_unsubscribes_with_a_field_of_its_own() -> None:
    """A text mail of the recipient."""
    report = read(b"From: a@icloud.example\nX-Apple-Unsubscribe: true\nSubject: unsubscribe\n\nunsubscribe\n")
    assert (report.kind, report.complainant) == (Kind.OPT_OUT, "a@icloud.example")


@pytest.mark.parametrize("value", ["auto-replied", "auto-generated", "auto-replied (rejected)"])
def test_auto_submitted_alone_proves_nothing(value: str) -> None:
    """Real bounces with this field stay bounces, and a mail of a person does not become a bounce."""
    header = f"Auto-Submitted: {value}\n".encode()
    for sample in samples():
        if sample.kind in ("failed", "delayed", "bounce", "abuse") and sample.name != "mail_outlook_1":
            assert read(header + sample.raw.lstrip()).kind == sample.kind, sample.name


def test_an_automatic_reply_is_known_by_its_header_or_subject() -> None:
    """In any language, if the software follows RFC 3834 or its predecessors."""
    for header in (
        "Auto-Submitted: auto-replied", "X-Autoreply: yes", "Precedence: auto_reply", "Subject: Out of Office: Hello",
        "Subject: =?utf-8?b?QWJ3ZXNlbmhlaXRzbm90aXo=?=", "X-Autorespond: x", "Return-Path: <>",
    ):  # fmt: skip
        report = read(f"From: Jane <jane@example.com>\n{header}\n\nIch bin bis 5.1.2024 im Urlaub.\n".encode())
        assert (report.kind, report.category, report.permanent) == (Kind.AUTO_REPLY, Category.AUTO_REPLY, None)
        assert [recipient.address for recipient in report.recipients] == ["jane@example.com"]


def test_an_automatic_reply_with_a_server_s_reply_is_a_failure_too() -> None:
    """It stays an automatic reply; a date, a number or a status alone are not enough."""
    mail = "From: jane@example.com\nAuto-Submitted: auto-replied\nSubject: Automatic reply: Hello\n\n%s\n"
    report = read((mail % "Jane has left. 550 5.1.1 user unknown").encode())
    assert (report.kind, report.category, report.permanent) == (Kind.AUTO_REPLY, Category.AUTO_REPLY, True)
    [jane] = report.recipients
    assert (jane.action, jane.code, jane.extended, jane.category) == (Kind.FAILED, 550, "5.1.1", Category.ADDRESS)
    for text in ("I am away (5.1.24).", "Status: 5.1.1", "Call 550 or 551.", "550 people work here.", "250 2.0.0 ok"):
        [away] = read((mail % text).encode()).recipients
        assert (away.action, away.category) == ("", Category.AUTO_REPLY), text


def test_a_server_that_rejects_with_a_disposition_bounces() -> None:
    """RFC 8098: `deleted` is a rejection, `displayed` is a reader's receipt."""
    fields = "Final-Recipient: rfc822; a@example.com\nDisposition: automatic-action/MDN-sent-automatically; %s\n"
    for disposition, kind in (("deleted", Kind.BOUNCE), ("displayed", Kind.OTHER)):
        mail = REPORT % ("disposition-notification", "message/disposition-notification", fields % disposition)
        assert read(mail.encode()).kind == kind


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xff\xfe\x00", b"no field here"])
def test_bytes_without_a_field_are_unreadable(raw: bytes) -> None:
    """They cannot be a mail."""
    assert read(raw).kind == Kind.UNREADABLE


def test_the_sender_in_a_list_of_its_own_is_no_recipient() -> None:
    """Some servers name the sender in the same form as the recipients."""
    mail = b"""From: MAILER-DAEMON@mx.example.org
X-Failed-Recipients: jane@example.com
To: news@sender.example

A message sent by

  <news@sender.example>

could not be delivered to:

  jane@example.com

------ This is a copy of the message. ------

Return-path: <news@sender.example>
Received: from x by y
From: news@sender.example
To: jane@example.com
"""
    assert [recipient.address for recipient in read(mail).recipients] == ["jane@example.com"]


def written(name: str) -> ReturnedMail:
    return next(read(sample.raw) for sample in written_samples() if sample.name == name)


def test_each_recipient_of_a_notice_has_its_own_reply() -> None:
    """A transcript has the replies far from the list of recipients, and one without a reply does not get another's."""
    transcript = written("sendmail-two-recipients.eml").recipients
    assert [(one.code, one.extended) for one in transcript] == [(550, "5.1.1"), (550, "5.2.2")]

    reasons = written("exim-three-reasons.eml").recipients
    assert [(one.code, one.category) for one in reasons] == [
        (550, Category.ADDRESS),
        (None, Category.ADDRESS),
        (552, Category.SIZE),
    ]


def test_a_list_of_recipients_shares_the_reply_after_it() -> None:
    """None of them has words of its own."""
    report = read(
        b"From: MAILER-DAEMON@x.example\n\nNot delivered:\n\n<a@example.com>\n<b@example.com>\n\n550 5.1.1 unknown\n"
    )
    assert [one.extended for one in report.recipients] == ["5.1.1", "5.1.1"]


def test_a_positive_status_is_no_reason() -> None:
    """It is a version, or a reply to an earlier command."""
    report = read(b"From: MAILER-DAEMON@x.example\n\nRelease 2.0.12\n\nNot delivered to:\n<a@example.com>\n")
    assert (report.kind, report.recipients[0].extended) == (Kind.BOUNCE, "")


def test_a_delay_without_a_reason_is_one_of_the_network() -> None:
    """Servers try again when they cannot connect."""
    report = read(b"From: MAILER-DAEMON@x.example\nSubject: Delayed mail\n\nNot yet delivered to:\n\n<a@example.com>\n")
    assert (report.category, report.permanent) == (Category.NETWORK, False)


@given(st.sampled_from([*map(chr, [*range(1, 9), 11, 12, *range(14, 32), 127])]), st.integers(0, 16))
def test_control_characters_reach_nobody(character: str, position: int) -> None:
    """A server that lets them pass changes neither the recipient nor the words of its reply."""
    address, reply = "john@example.com", "550 5.1.1 User unknown"
    reply = reply[:position] + character + " " + reply[position:]
    fields = group(address[:position] + character + address[position:], "failed") + f"Diagnostic-Code: smtp; {reply}\n"

    (found,) = read(dsn(fields)).recipients

    assert found.address == address
    assert found.description.isprintable()
