"""Queries for feedback loops: one by id or number, and an account's loops page by page."""

from __future__ import annotations

from typing import Final

from actors.commands.command import Page
from actors.commands.loops import Health
from actors.ledger.loop_projection import LoopKey, LoopProjection, LoopRow
from actors.ledger.queries.hot_path import HEALTH_COLUMNS
from actors.ledger.queries.pagination import Number, decode_cursor, page_of
from actors.ledger.store_connection import Row, StoreConnection
from domain.delivery import LaneHealth

_LOOPS: Final = (
    f"SELECT no, id, account_no, doc, {HEALTH_COLUMNS} FROM loops AS l LEFT JOIN loop_health AS h ON h.loop_no = l.no"  # noqa: S608 - constants only
)
LOOP: Final = f"{_LOOPS} WHERE id = $1"
LOOP_BY_NO: Final = f"{_LOOPS} WHERE no = $1"
RUNNING_LOOPS: Final = "SELECT id FROM loops WHERE deleted = 0 ORDER BY no"
LOOPS_OF_ACCOUNT: Final = f"{_LOOPS} WHERE deleted = 0 AND account_no = $1 AND no > $2 ORDER BY no LIMIT $3"


class LoopQueries(StoreConnection):
    """The part of `LedgerReader` that reads loops with their settings and health."""

    def loop(self, loop_id: str) -> LoopRow | None:
        """A loop by id, including deleted loops (see `LoopRow.deleted`)."""
        found = self.row(LOOP, (loop_id,))
        return _loop_row(found) if found else None

    def loop_by_no(self, loop_no: int) -> LoopRow | None:
        """A loop by number, including deleted loops (see `LoopRow.deleted`)."""
        found = self.row(LOOP_BY_NO, (loop_no,))
        return _loop_row(found) if found else None

    def loops_of_other_keys(self, key_id: int) -> list[str]:
        """Ids of the loops that are not deleted and whose secret is derived from another installation key."""
        found = self.rows("SELECT id, doc FROM loops WHERE deleted = 0 ORDER BY no")
        return [id_ for id_, doc in found if LoopProjection.from_text(doc).secret_key != key_id]

    def count_loops_of_key(self, key_id: int) -> tuple[int, int]:
        """How many loops derive their secret from an installation key, and how many have headers sealed with it."""
        docs = [LoopProjection.from_text(doc) for (doc,) in self.rows("SELECT doc FROM loops WHERE deleted = 0")]
        sealed = (any(text.startswith(f"{key_id}:") for text in doc.settings.headers.values()) for doc in docs)
        return sum(doc.secret_key == key_id for doc in docs), sum(sealed)

    def running_loops(self) -> list[str]:
        """Ids of all loops that are not deleted, oldest first."""
        return [loop_id for (loop_id,) in self.rows(RUNNING_LOOPS)]

    def list_loops(self, account_no: int, limit: int, cursor: str | None) -> Page[LoopRow]:
        """The account's loops that are not deleted, oldest first.

        Raises:
            InvalidInput: the cursor is not from this list.
        """
        (after,) = decode_cursor(cursor, tuple[Number]) if cursor is not None else (0,)
        found = self.rows(LOOPS_OF_ACCOUNT, (account_no, after, limit + 1))
        return page_of(found, limit, _loop_row, lambda row: [row[0]])


def _loop_row(row: Row) -> LoopRow:
    no, id_, account_no, doc, *health = row
    shown = Health.of(LaneHealth(*health)) if health[0] else Health()
    return LoopProjection.from_text(doc).row(LoopKey(no, id_, account_no), shown)
