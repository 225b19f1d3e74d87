"""Which ledger may write: the one that started last. One that was thought dead and is not is refused."""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection

from domain.errors import StoreUnavailable

_TAKE_OVER: Final = "UPDATE writer SET epoch = epoch + 1 RETURNING epoch"
#: Locks the row until the transaction ends: nobody takes over between the look and the commit, and transactions of two
#: writers never overlap. So numbers that are given in a transaction, of events and deliveries, are committed in order.
#: With it comes what a transaction has to know anyhow.
_LOOK: Final = (
    "{often}SELECT w.epoch, m.value, d.last_id FROM writer AS w, meta AS m, delivery_ids AS d"
    " WHERE m.name = 'routes_version' FOR UPDATE OF w"
)


class Fence:
    """One writer's number. Its connections come and go, the number stays; a later writer's ends it for good."""

    def __init__(self) -> None:
        self._epoch: int | None = None

    def enter(self, connection: Connection[Any]) -> None:
        """Takes the store over, when this is the writer's first connection. Waits for a transaction under way."""
        if self._epoch is None:
            row = connection.execute(_TAKE_OVER).fetchone()
            if row is None:
                raise StoreUnavailable("the store has lost its row of `writer`: restore the database from a back-up")
            self._epoch = row[0]

    def check(self, cursor: Any) -> tuple[int, int]:
        """Holds the store for this transaction; gives the routing table's version and the last delivery's id.

        Raises:
            StoreUnavailable: another ledger has taken over.
        """
        row = cursor.execute(_LOOK).fetchone()
        if row is None:
            raise StoreUnavailable("the store has lost its row of `writer`: restore the database from a back-up")
        if row[0] != self._epoch:
            raise StoreUnavailable(
                "another ledger has taken over this store, and this one writes nothing more; if it was not started on "
                "purpose, see which other service was given the same --store (FEEDBACK_LOOPS_STORE)"
            )
        return row[1], row[2]
