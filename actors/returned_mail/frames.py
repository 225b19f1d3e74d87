"""Messages between the users of returned mail and their processes. Both always run the same version."""

from __future__ import annotations

from typing import Final

import msgspec

from domain.returned_mail.report import ReturnedMail

LENGTH_BYTES: Final = 4


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A mail to parse, and the address that it was delivered to."""

    raw: bytes
    envelope: str


class Response(msgspec.Struct, frozen=True, array_like=True):
    """The content of a mail; if it is unreadable, the error that the parser raised."""

    report: ReturnedMail
    error: str = ""


class SearchRequest(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A person, and texts and mails to search for the address. The response: whether one has it."""

    person: str
    texts: list[str]
    mails: list[str]


class AddressesRequest(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Texts and mails. The response: what may be an address in them, a list of at most `limit`."""

    texts: list[str]
    mails: list[str]
    limit: int


def frame(payload: bytes) -> bytes:
    """A message with its length in front."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload
