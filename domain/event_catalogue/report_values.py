"""Value types of the fields of a report.

Each type reads a JSON value: it returns the value in its only spelling, so that the same report is always the same
text, or raises `ValueError` that says what the value must be.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from math import isfinite
from typing import Final, TypeAlias

from domain.validation import text_problem
from domain.values import email_problem

MAX_ADDRESS_CHARS: Final = 400
#: How far a report's time may be from its arrival.
MAX_AHEAD_MS: Final = 10 * 60 * 1000
MAX_AGE_MS: Final = 90 * 24 * 3600 * 1000

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
_CODE: Final = re.compile(r"[2-5]\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportText:
    """A text. `lines` permits line breaks."""

    max_chars: int
    lines: bool = False
    min_chars: int = 1

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        return _checked(value, text_problem(value, self.max_chars, min_chars=self.min_chars, lines=self.lines))


@dataclass(frozen=True, slots=True)
class ReportChoice:
    """One of a few names."""

    names: tuple[str, ...]

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        is_known = isinstance(value, str) and value in self.names
        return _checked(value, None if is_known else f"must be one of {', '.join(self.names)}")


@dataclass(frozen=True, slots=True)
class ReportAddress:
    """The e-mail address of a recipient."""

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        problem = text_problem(value, MAX_ADDRESS_CHARS)
        return _checked(value, problem or (email_problem(value) if isinstance(value, str) else None))


@dataclass(frozen=True, slots=True)
class MessageReference:
    """A Message-ID, with or without angle brackets, or a provider's id of the message."""

    max_chars: int

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        return bare_reference(_checked(value, reference_problem(value, self.max_chars)))


@dataclass(frozen=True, slots=True)
class SmtpCode:
    """An SMTP reply code, as a number or as text."""

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        return _checked(text, None if _CODE.fullmatch(text) else "must be an SMTP code of three digits, 200 to 599")


@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """A status of RFC 3463."""

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        is_status = isinstance(value, str) and _STATUS.fullmatch(value)
        return _checked(value, None if is_status else "must be a status such as 5.1.1 (RFC 3463)")


@dataclass(frozen=True, slots=True)
class IpAddress:
    """An IPv4 or IPv6 address."""

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        with suppress(ValueError):
            if isinstance(value, str) and "%" not in value:  # a scope means nothing elsewhere, and may be any text
                return str(ip_address(value))
        raise ValueError("must be an IP address")


@dataclass(frozen=True, slots=True)
class MailSource:
    """A mail as text, cut to a number of bytes of UTF-8."""

    max_bytes: int

    def read(self, value: object, now_ms: int) -> str:  # noqa: ARG002
        text = _checked(value, None if isinstance(value, str) and value else "must be a text that is not empty")
        return cut_text(text, self.max_bytes)


@dataclass(frozen=True, slots=True)
class ReportTime:
    """A time, as RFC 3339 or Unix seconds; read as Unix milliseconds."""

    def read(self, value: object, now_ms: int) -> int:
        at_ms = _time_ms(value)
        if at_ms is None:
            raise ValueError("must be an RFC 3339 time such as 2026-03-01T09:30:00Z, or Unix seconds")
        if at_ms > now_ms + MAX_AHEAD_MS:
            raise ValueError("must be at most 10 minutes ahead")
        if at_ms < now_ms - MAX_AGE_MS:
            raise ValueError("must be at most 90 days old")
        return at_ms


ReportType: TypeAlias = (
    ReportText
    | ReportChoice
    | ReportAddress
    | MessageReference
    | SmtpCode
    | EnhancedStatus
    | IpAddress
    | MailSource
    | ReportTime
)


def bare_reference(text: str) -> str:
    """A reference without white space and angle brackets around it, so that every spelling of a Message-ID matches."""
    text = text.strip()
    return text[1:-1].strip() if text.startswith("<") and text.endswith(">") else text


def reference_problem(value: object, max_chars: int) -> str | None:
    """The problem with a reference, or None."""
    problem = text_problem(value, max_chars)
    if problem is None and isinstance(value, str) and not bare_reference(value):
        return "must not be empty"
    return problem


def cut_text(text: str, max_bytes: int) -> str:
    """The start of a text: at most `max_bytes` of UTF-8, and no half character."""
    if len(text) * 4 <= max_bytes:
        return text
    return text[:max_bytes].encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def _time_ms(value: object) -> int | None:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        with suppress(ValueError, OverflowError):
            # Python 3.11 reads up to six decimals, more than milliseconds need.
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper()))
            return round(moment.timestamp() * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and abs(value) < 1e12:
        return round(value * 1000)
    return None


def _checked(value: object, problem: str | None) -> str:
    if problem is not None or not isinstance(value, str):
        raise ValueError(problem or "must be a string")
    return value
