"""Read connection to a store, the base of all queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import msgspec

from actors.ledger.dialect import Cursor, Dialect

Row = tuple[Any, ...]
S = TypeVar("S", bound=msgspec.Struct)


class StoreConnection(ABC):
    """Reads committed rows. Any thread may use it; threads take turns.

    Methods raise `StoreUnavailable` while the store cannot be read, and work again once it can.
    """

    dialect: Dialect

    @abstractmethod
    def _cursor(self) -> AbstractContextManager[Cursor]:
        """A cursor for one query or one snapshot."""

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of one query, which is in the dialect of `actors.ledger.dialect`."""
        with self._cursor() as cursor:
            return cursor.execute(sql, params).fetchall()

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Cursor]:
        """A context in which all queries of the cursor see the same commit. Other threads wait, so keep it short."""

    @abstractmethod
    def rows_of_events(self, sql: str, event_ids: Collection[bytes]) -> list[Row]:
        """All rows of one query whose list `{in $1}` is these event ids. The store may read in several snapshots."""

    @abstractmethod
    def close(self) -> None:
        """Closes for good; later reads raise `StoreUnavailable`."""

    def row(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        """The first row of one query, or None."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def many(self, values: Collection[int]) -> object:
        """The parameter for a list of numbers."""
        return self.dialect.many(values)


def struct_of(kind: type[S], columns: Sequence[Any]) -> S:
    """The struct with these values, which are in the order of its fields."""
    return kind(**dict(zip(kind.__struct_fields__, columns, strict=True)))


@contextmanager
def closed_on_error(connection: Any) -> Iterator[None]:
    """Closes a new connection if the block, which prepares it, fails."""
    try:
        yield
    except BaseException:
        connection.close()
        raise
