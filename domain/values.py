"""Enumerations, identifiers and validated values. Source: the contract, section 1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from domain.errors import InvalidInput


class LoopState(StrEnum):
    """The state of a feedback loop."""

    UNVERIFIED = "unverified"
    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class PayloadFormat(StrEnum):
    """The encoding of an event's fields in the body of a POST."""

    FORM = "form"
    JSON = "json"


class DeliveryState(IntEnum):
    """The state of a delivery; the number is stored."""

    PENDING = 0
    DELIVERED = 1
    DEAD = 2
    #: Of an erased person. It is never sent again, whatever its state was.
    ERASED = 3


#: The largest integer of SQLite and PostgreSQL.
_MAX_NUMBER: Final = 2**63 - 1


def id_text(prefix: str, value: UUID | bytes) -> str:
    """An identifier as the API shows it: `fl_0190…` (prefix, underscore, 32 hex digits)."""
    return f"{prefix}_{value.hex() if isinstance(value, bytes) else value.hex}"


def id_uuid(prefix: str, text: str) -> UUID | None:
    """The UUID of an identifier that `id_text` made, or None for any other text."""
    match = re.fullmatch(rf"{prefix}_([0-9a-f]{{32}})", text)
    return UUID(hex=match[1]) if match else None


def id_number(prefix: str, text: str) -> int | None:
    """The number in an identifier such as `dlv_12`, or None when `text` is not such an identifier."""
    match = re.fullmatch(rf"{prefix}_([1-9][0-9]{{0,18}})", text)
    number = int(match[1]) if match else 0
    return number if 0 < number <= _MAX_NUMBER else None


def event_time_ms(event_id: bytes) -> int:
    """When the event's id was created, Unix time in milliseconds, from the id (UUIDv7, RFC 9562 5.7)."""
    return int.from_bytes(event_id[:6], "big")


MAX_URL_CHARS: Final = 2048
#: RFC 3986 3.3; servers and clients on the way may remove them (5.2.4).
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HandlerUrl:
    """The http(s) URL of a customer's handler: absolute, with a host, without credentials, fragment or dot segments."""

    text: str

    def __post_init__(self) -> None:
        if problem := _url_problem(self.text):
            raise InvalidInput.at("/url", problem)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.text)

    @property
    def host(self) -> str:
        """Host name or address, lower case, without brackets."""
        return self.parts.hostname or ""


def _url_problem(text: str) -> str | None:
    if not text.isascii() or not text.isprintable() or " " in text:
        return (
            "must be printable ASCII without spaces; write an international host name as xn--… and other characters "
            "as %XX"
        )
    if len(text) > MAX_URL_CHARS:
        return f"is longer than {MAX_URL_CHARS} characters"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"}:
        return "must start with http:// or https://"
    if not parts.hostname:
        return "has no host"
    if not _has_good_port(parts):
        return "is not a URL: its port must be a number from 1 to 65535"
    if parts.username is not None or parts.password is not None:
        return "must not contain a user name or password"
    if _DOT_SEGMENT.search(parts.path):
        return (
            "must not contain the path segments . or .. (nor %2e): servers resolve them, so the verification file "
            "would not be found; write the resolved path"
        )
    return "must not contain a fragment (#…)" if parts.fragment else None


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f]{1,255}")


def email_problem(text: str) -> str | None:
    """The problem with an e-mail address, or None. Checks only its syntax; mail servers decide the rest."""
    return None if _EMAIL.fullmatch(text) else "is not an e-mail address (local@domain)"
