"""Fencing of writers: the writer that started last may write, any earlier one is refused (fencing token)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.errors import StoreUnavailable

_TAKE_OVER: Final = "UPDATE writer SET epoch = epoch + 1 RETURNING epoch"
#: Locks the row until the transaction ends, so no other writer takes over between this check and the commit, and
#: transactions of two writers never overlap. That is why the numbers of a transaction's events and deliveries commit
#: in order.
#: The counters that every transaction needs come with it.
_CHECK: Final = (
    "{often}SELECT w.epoch, m.value, d.last_id FROM writer AS w, meta AS m, delivery_ids AS d"
    " WHERE m.name = 'routes_version' FOR UPDATE OF w"
)


class StoreCounters(NamedTuple):
    """The store's counters at the start of a transaction."""

    routes_version: int
    #: The highest id that any delivery was given so far.
    last_id: int


class Fence:
    """The epoch of one writer. It keeps its epoch across reconnects, until another writer takes over."""

    def __init__(self) -> None:
        self._epoch: int | None = None

    def enter(self, connection: Connection[Any]) -> None:
        """Takes over the store if this is the writer's first connection. Waits for a transaction in progress."""
        if self._epoch is None:
            row = connection.execute(_TAKE_OVER).fetchone()
            if row is None:
                raise StoreUnavailable("the store's table `writer` is empty: restore the database from a backup")
            self._epoch = row[0]

    def check(self, cursor: Any) -> StoreCounters:
        """Keeps other writers out for this transaction, and returns the store's counters.

        Raises:
            StoreUnavailable: another writer has taken over.
        """
        row = cursor.execute(_CHECK).fetchone()
        if row is None:
            raise StoreUnavailable("the store's table `writer` is empty: restore the database from a backup")
        if row[0] != self._epoch:
            raise StoreUnavailable(
                "another ledger has taken over this store, and this one no longer writes; if that was not intended, "
                "look for another service with the same --store (FEEDBACK_LOOPS_STORE)"
            )
        return StoreCounters(row[1], row[2])
