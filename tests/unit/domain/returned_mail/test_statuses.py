"""SMTP replies and extended statuses in running text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.returned_mail.statuses import Reply, better, clean, find_reply


@pytest.mark.parametrize(
    ("text", "code", "extended"),
    [
        ("550 5.1.1 User unknown", 550, "5.1.1"),
        ("550-5.7.1 likely unsolicited\n550 5.7.1 more", 550, "5.7.1"),
        ("host mx.example.org[192.0.2.1] said: 554 5.7.1 <a@b>: rejected", 554, "5.7.1"),
        ("550: 5.1.1 <a@b>: Recipient address rejected", 550, "5.1.1"),
        ("#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##", 550, "5.1.1"),
        ("#550 4.4.7 QUEUE.Expired; message expired ##", 550, "4.4.7"),
        ("5.1.0 - Unknown address error 550-'5.1.1 no such user'", 550, "5.1.1"),
        ("<mail.example.org #5.1.1 smtp;550 User unknown>", 550, "5.1.1"),
        ("Remote Server returned '550 5.1.10 RESOLVER'", 550, "5.1.10"),
        ("Sorry, no mailbox here by that name. (#5.1.1)", None, "5.1.1"),
        ("said: 550 sorry, no mailbox (#5.7.17)", 550, "5.7.17"),
        ("smtp; 552 Requested action aborted", 552, ""),
        ("[SMTP Error Code 550]", 550, ""),
        ("ERROR_CODE :550, ERROR_CODE :5.1.1 <a@b>", 550, "5.1.1"),
        ("<<< 550 <a@b>... User unknown", 550, ""),
        ("450 4.2.2 over quota\n550 5.1.1 unknown", 550, "5.1.1"),
        ("220 mx ESMTP\n250 ok\n452 4.2.2 mailbox full", 452, "4.2.2"),
        ("-- 4.4.4 Temporary server error.", None, "4.4.4"),
        ("552-5.2.2 first\n552 5.2.2 last", 552, "5.2.2"),
        ("reason: 553 Sender Policy Framework", 553, ""),
        ("Fehlercode 550", 550, ""),
        ("521-192.0.2.1 blocked by a list. 521 See http://example.org", 521, ""),
        ("delivery via mx[192.0.2.1]: 250 2.1.5 Ok", 250, "2.1.5"),
    ],
)
def test_replies_are_found_where_servers_write_them(text: str, code: int | None, extended: str) -> None:
    """Code and status are found in the forms of many mail systems."""
    assert find_reply(text)[:2] == (code, extended)


@pytest.mark.parametrize(
    "text",
    [
        "Call 480-624-2500 for help",
        "Call us at +1 550 123 4567",
        "sent from 5.1.1.1 and 550.1.2.3",
        "Exim 4.92.3 on host",
        "ESMTP sendmail 8.14.4/8.14.4; version 5.1.1",
        "on 4.10.2001 at 5:50",
        "received 550 chairs",
        "at 14:55:41 and 05:50:12",
        "order no. 450123",
        "X-Mailer 5.5.2653.19",
        "size 5242880 of server",
        "a room in 500 Fifth Avenue",
        "status ٥.١.١ or 5.١.1, ٥50",
        "",
    ],
)
def test_other_numbers_are_no_replies(text: str) -> None:
    """Telephone numbers, versions, dates, times, amounts and network addresses mean something else."""
    assert not find_reply(text).is_known


@given(st.text(alphabet="245.0179 -#:()[]<>;\n\"'ab", max_size=300))
def test_any_text_gives_a_valid_reply_or_none(text: str) -> None:
    """A reply has a code of RFC 5321 and a status of RFC 3463, both of them positive or neither."""
    found = find_reply(text)

    assert found.code is None or 200 <= found.code <= 599
    if found.extended:
        class_, subject, detail = found.extended.split(".")
        assert class_ in "245"
        assert max(int(subject), int(detail)) <= 999
        assert found.code is None or (found.code < 300) == (class_ == "2")


@given(
    st.sampled_from(["550", "421", "250"]),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(
        ["{code} {status}", "{code}-{status}", "{code} #{status}", "{code} ({status})", "{code}: {status}"]
    ),
    st.sampled_from(["said: {} text", "{} text", "<<< {} text", "smtp; {} text", "error ({} text)"]),
)
def test_reply_and_status_in_one_place_belong_together(
    code: str, subject: int, detail: int, form: str, place: str
) -> None:
    """The way in which they are joined does not matter."""
    status = f"{code[0]}.{subject}.{detail}"
    text = place.format(form.format(code=code, status=status))

    assert find_reply(text)[:2] == (int(code), status)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("5.1.1", "5.1.1"),
        ("4.4.1 (Persistent transient failure)", "4.4.1"),
        ("5.0.0 (recipient reached disk quota)", "5.0.0"),
        ("(5.2.2)", "5.2.2"),
        ("553 Exceeded maximum", ""),
        ("", ""),
        ("smtp;550 5.1.1", "5.1.1"),
        ("192.0.2.1", ""),
    ],
)
def test_the_status_of_a_field_is_read_with_its_comment(value: str, status: str) -> None:
    """Programs add texts to the field, or fill it with something else."""
    assert clean(value) == status


@pytest.mark.parametrize(
    ("extended", "in_reply", "result"),
    [("5.0.0", "5.1.1", "5.1.1"), ("5.1.1", "5.7.1", "5.1.1"), ("", "4.2.2", "4.2.2"), ("5.0.0", "4.2.2", "5.0.0")],
)
def test_the_more_specific_status_counts(extended: str, in_reply: str, result: str) -> None:
    """The reply's status replaces a general one of the same class."""
    assert better(extended, Reply(None, in_reply, 0)) == result
