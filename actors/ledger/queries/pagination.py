"""Pages of lists, and their opaque cursors: the key of the last row, after which the next page starts."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec

from actors.commands.command import Page
from domain.errors import InvalidInput

#: A number that fits SQLite's integers.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
R = TypeVar("R")
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
        raise InvalidInput.at("/cursor", "is not a cursor of this list; start again without one") from exc


def page_of(found: Sequence[R], limit: int, view: Callable[[R], T], key: Callable[[R], Sequence[int | str]]) -> Page[T]:
    """The page of the first `limit` rows. If more rows were found, there is another page."""
    shown = found[:limit]
    following = encode_cursor(key(shown[-1])) if len(found) > limit else None
    return Page(data=[view(row) for row in shown], next=following)
