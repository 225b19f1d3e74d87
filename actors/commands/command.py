"""Base class of all commands."""

from __future__ import annotations

from typing import Generic, TypeVar

from actors.compatibility import WireStruct

R_co = TypeVar("R_co", covariant=True)


class Command(WireStruct, Generic[R_co], frozen=True, kw_only=True):
    """A request whose answer is an `R_co`."""
