"""Base class of all commands, and the page that commands for lists answer with."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from actors.compatibility import WireStruct

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Command(WireStruct, Generic[R_co], frozen=True, kw_only=True):
    """A request whose answer is an `R_co`."""

    #: Whether to run it twice is the same as to run it once.
    is_idempotent: ClassVar[bool] = False


class Page(WireStruct, Generic[T], frozen=True, kw_only=True):
    """A part of a list. `next` is the cursor of the next page; None at the end."""

    data: list[T]
    next: str | None
