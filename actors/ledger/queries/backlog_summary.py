"""Query for the backlog of all loops together, for operators. Its cost does not grow with the backlog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.ledger.queries.hot_path import PENDING_COUNT
from actors.ledger.store_connection import StoreConnection
from actors.ports import LoopBacklog

#: One index look-up per loop.
LOOPS: Final = (
    "SELECT l.no, l.state, coalesce(h.breaker, 'closed'),"
    " (SELECT min(due_at_ms) FROM deliveries WHERE {pending} AND loop_no = l.no)"
    " FROM loops AS l LEFT JOIN loop_health AS h ON h.loop_no = l.no WHERE l.deleted = 0"
)


class BacklogQueries(StoreConnection):
    """The part of `LedgerReader` that sums up backlogs."""

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]:
        """See `LedgerReader.backlogs`."""
        groups: dict[tuple[str, str], LoopBacklog] = {}
        for loop_no, state, breaker, next_due_ms in self.rows(LOOPS):
            group = groups.get((state, breaker), LoopBacklog(state, breaker, 0, 0, None))
            group = group._replace(loops=group.loops + 1)
            if next_due_ms is not None and next_due_ms <= now_ms:
                oldest_ms = next_due_ms if group.oldest_due_ms is None else min(group.oldest_due_ms, next_due_ms)
                group = group._replace(waiting=group.waiting + self._due(loop_no, now_ms, at_most - group.waiting))
                group = group._replace(oldest_due_ms=oldest_ms)
            groups[state, breaker] = group
        return list(groups.values())

    def _due(self, loop_no: int, now_ms: int, at_most: int) -> int:
        if at_most <= 0:
            return 0
        [(count,)] = self.rows(PENDING_COUNT, (loop_no, now_ms, at_most))
        return int(count)
