"""Pages of lists in the fakes: a cursor is the number of the first item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from domain.errors import InvalidInput

R = TypeVar("R")


def page_of(items: Sequence[R], limit: int, cursor: str | None) -> tuple[list[R], str | None]:
    """The items of a page, and the cursor of the next one. Raises `InvalidInput` if this is no cursor."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput.at("/cursor", "is not one that a list gave as next")
    start = int(cursor or 0)
    return list(items[start : start + limit]), str(start + limit) if start + limit < len(items) else None
