"""What the ledger's queries need of a store's connection that reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

from actors.ledger.dialect import Cursor, Dialect

Row = tuple[Any, ...]


class StoreConnection(ABC):
    """Reads what has been committed, for any thread: they take turns.

    Raises `StoreUnavailable` while it cannot, and reads again when it can.
    """

    #: How its statements differ from those of other stores.
    dialect: Dialect

    @abstractmethod
    def rows(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of one query (`actors.ledger.dialect`)."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Cursor]:
        """Within it, all queries of the cursor see the same commit. Others wait: keep it short."""

    @abstractmethod
    def rows_of_events(self, sql: str, event_ids: Collection[bytes]) -> list[Row]:
        """All rows of one query whose one list, `{in $1}`, are these event ids. In one snapshot, or several."""

    @abstractmethod
    def close(self) -> None:
        """Closes for good; reads that come later raise `StoreUnavailable`."""

    def row(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        """The first row of one query, or None."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def many(self, values: Collection[int]) -> object:
        """The parameter that is a list of these numbers."""
        return self.dialect.many(values)
