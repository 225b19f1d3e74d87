"""Compaction of a store: rewrites its tables, so that no file holds bytes of rows that were changed or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class CompactPart(NamedTuple):
    """A part of the store that is rewritten in one piece, and is locked meanwhile."""

    #: The table, or the file.
    name: str
    #: Its size, in bytes.
    size: int


class Compaction(Protocol):
    """Rewrites a store, while its service runs or not. Locked parts make writers wait; nothing is lost."""

    #: What waits while a part is rewritten, for people.
    locks: str

    def parts(self) -> Sequence[CompactPart]:
        """All parts, in the order in which they are to be rewritten.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        ...

    def missing_bytes(self) -> int:
        """The space that is missing on the store's disk; 0 if there is enough, or if it cannot be known."""
        ...

    def rewrite(self, part: CompactPart) -> int:
        """Rewrites one part, and returns its new size in bytes.

        Raises:
            StoreUnavailable: it could not be locked or written; it is unchanged.
        """
        ...

    def finish(self) -> str | None:
        """Makes the store forget the former bytes. Returns what is left for people to do, or None.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        ...
