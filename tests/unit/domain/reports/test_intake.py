"""`domain.reports.intake`: digests and ids."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.reports.intake import further_id, mail_digest, report_digest

ID = bytes.fromhex("0199c2a4d1f27c3e8a5b6c7d8e9fa0b1")
MAIL = b"From: a@b.example\r\nReceived: kept, as it is not in front\r\n\r\nText\r\n"


def test_a_digest_belongs_to_account_and_source() -> None:
    """The caller's own id replaces the content, and is never taken for content."""
    assert report_digest(1, "api", "e", b"x") == report_digest(1, "api", "e", b"y")
    different = {
        report_digest(1, "api", None, b"x"),
        report_digest(1, "api", None, b"y"),
        report_digest(1, "api", "x", b""),
        report_digest(2, "api", "x", b""),
        report_digest(1, "mail", "x", b""),
        report_digest(11, "api", "x", b""),
        mail_digest(1, "api", b"x"),
    }
    assert len(different) == 7


@pytest.mark.parametrize(
    "front",
    [
        b"From MAILER-DAEMON Mon Mar  2 10:00:00 2026\n",
        b"Return-Path: <>\r\n",
        b"return-path: <a@b>\r\nDelivered-To: x@y\r\nX-Original-To: x@y\r\n",
        b"Received: from a\r\n\tby b;\r\n  Mon\r\nReceived: from c\r\n",
    ],
)
def test_a_mail_that_took_another_way_is_the_same(front: bytes) -> None:
    """Lines that transports add in front do not count; any other byte does."""
    assert mail_digest(1, "mail", front + MAIL) == mail_digest(1, "mail", MAIL)
    assert mail_digest(1, "mail", front + MAIL + b" ") != mail_digest(1, "mail", MAIL)
    assert mail_digest(1, "mail", b"X-Mine: 1\r\n" + front + MAIL) != mail_digest(1, "mail", MAIL)


def test_further_ids_are_of_the_same_millisecond() -> None:
    """They are UUIDv7, all different, and always the same."""
    ids = [further_id(ID, number) for number in range(500)]

    assert ids[0] == ID
    assert len(set(ids)) == 500
    assert {id_[:6] for id_ in ids} == {ID[:6]}
    assert {(UUID(bytes=id_).version, UUID(bytes=id_).variant) for id_ in ids} == {(7, "specified in RFC 4122")}
    assert ids == [further_id(ID, number) for number in range(500)]
