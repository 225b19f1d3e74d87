"""Reports and returned mails as the edge journals them, and their identities."""

from __future__ import annotations

import re
from enum import IntEnum
from hashlib import blake2b, sha256
from typing import Final, NamedTuple

#: Where reports come from.
API: Final = "api"
MAIL: Final = "mail"
SOURCES: Final = (API, MAIL)

#: Lines that each transport adds in front of a mail.
_TRANSPORT_LINES: Final = re.compile(
    rb"(?:(?:From |>From |Return-Path:|Received:|Delivered-To:|X-Original-To:)[^\n]*\n(?:[ \t][^\n]*\n)*)*",
    re.IGNORECASE,
)
_ID_TAIL: Final = (1 << 80) - 1
_VERSION_7: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM_BITS: Final = _ID_TAIL & ~(0xF << 76) & ~(0b11 << 62)


class Report(NamedTuple):
    """A report that was answered. A tuple, because journal and frames encode it as an array."""

    #: UUIDv7, 16 bytes: the report's id, and the id of the event that it becomes (I3).
    event_id: bytes
    account_no: int
    #: One of `SOURCES`.
    source: str
    #: SHA-256 of the API key that it came with.
    key_hash: bytes
    #: Unix time, milliseconds.
    arrived_ms: int
    #: `report_digest`.
    digest: bytes
    #: The canonical report (`domain.reports.validation`): one JSON object, UTF-8.
    body: bytes


class ReturnedMailEntry(NamedTuple):
    """A returned mail that was answered. A tuple, because journal and frames encode it as an array."""

    #: UUIDv7, 16 bytes: the report's id, and the id of its first event (I3).
    event_id: bytes
    account_no: int
    source: str
    #: SHA-256 of the API key that it came with.
    key_hash: bytes
    #: Unix time, milliseconds.
    arrived_ms: int
    #: `mail_digest`.
    digest: bytes
    #: The mail's bytes; empty in the journal if the mail is in a spool file.
    mime: bytes
    #: The name of the spool file; empty if there is none.
    spool: str = ""


class ReportState(IntEnum):
    """The fate of a report; the number is stored."""

    MATCHED = 1
    #: No message of the account belongs to it.
    UNMATCHED = 2
    #: A mail that could not be parsed.
    UNREADABLE = 3
    #: The same report had been recorded before.
    REPEATED = 4
    #: Its API key had been revoked before it arrived.
    REFUSED = 5
    #: Its message was erased: only this row is recorded.
    ERASED = 6


def report_digest(account_no: int, source: str, given_id: str | None, body: bytes) -> bytes:
    """The identity of a report: the caller's own id if there is one, else the whole canonical report."""
    told = b"event:" + given_id.encode() if given_id is not None else b"report:" + body
    return sha256(b"%d:%b:%b" % (account_no, source.encode(), told)).digest()


def mail_digest(account_no: int, source: str, mail: bytes) -> bytes:
    """The identity of a returned mail: its bytes without the lines that transports add in front."""
    start = _TRANSPORT_LINES.match(mail)
    told = sha256(b"%d:%b:mail:" % (account_no, source.encode()))
    told.update(memoryview(mail)[start.end() if start else 0 :])
    return told.digest()


def further_id(event_id: bytes, number: int) -> bytes:
    """The id of a report's event with this number: the report's own for 0, and ids derived from it for the others.

    Derived ids are UUIDv7 of the same millisecond.
    """
    if number == 0:
        return event_id
    tail = blake2b(event_id + number.to_bytes(4, "big"), digest_size=10).digest()
    bits = int.from_bytes(tail, "big") & _RANDOM_BITS | _VERSION_7 | _VARIANT
    return event_id[:6] + bits.to_bytes(10, "big")
