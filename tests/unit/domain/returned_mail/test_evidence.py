"""Evidence for the kind of a mail that no machine-readable part describes."""

from __future__ import annotations

from domain.returned_mail.reader import read
from domain.returned_mail.report import Kind


def test_a_person_who_asks_about_a_bounce_causes_none() -> None:
    """An answer of a person may quote a server's reply; an answer of a mail system is a bounce."""
    mail = "From: %s\nSubject: Re: your invoice\n\nMy mail to you bounced: 550 5.1.1 user unknown. Did you get it?\n"
    assert read((mail % "Jane <jane@example.com>").encode()).kind == Kind.OTHER
    assert read((mail % "postmaster@example.com").encode()).kind == Kind.BOUNCE


def test_a_link_with_the_writer_s_address_asks_for_a_challenge() -> None:
    """The link of a challenge contains a token and identifies the person who wrote the mail or the one who asks."""
    mail = """From: Jane <jane@example.com>
To: news@sender.example
Subject: Re: Hello (verification)

Follow this link: https://guard.example/a2?q=4711%s
"""
    for person in ("news@sender.example", "jane@example.com"):
        assert read((mail % f"&p={person}").encode()).kind == Kind.CHALLENGE
    assert read((mail % "").encode()).kind == Kind.OTHER


def test_the_writer_s_role_counts_however_it_is_spelled() -> None:
    """A mail system with an empty return path is no person's software."""
    header = b"Return-Path: <>\nFrom: post_master@msg.example\nSubject: Undeliverable Message\n"
    report = read(header + b"\nTo: 5551112222@msg.example\n")
    assert (report.kind, [one.address for one in report.recipients]) == (Kind.BOUNCE, ["5551112222@msg.example"])

    mail = b"Return-Path: <>\nFrom: mailsecurity@mx.example\nSubject: Blocked\n\nNot passed on: jane@example.com\n"
    report = read(mail)
    assert (report.kind, [one.address for one in report.recipients]) == (Kind.BOUNCE, ["jane@example.com"])
