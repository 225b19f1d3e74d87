"""Opaque cursors: the key of the last row of a page, after which the next page starts."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from domain.errors import InvalidInput

#: A number that fits SQLite's integers.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
T = TypeVar("T")


def encode_cursor(key: Sequence[int | str]) -> str:
    """The key as text for a URL query."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(text: str, shape: type[T]) -> T:
    """The key of a cursor, of the type `shape`.

    Raises:
        InvalidInput: the cursor is not from this list.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=shape)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError) as exc:
        problem = "is not a cursor of this list; pass the `next` of its last page, or none to begin"
        raise InvalidInput(f"cursor {problem}", [("/cursor", problem)]) from exc
