"""Queries for statistics: one account's for the dashboard, and those of all loops for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from actors.commands.deliveries import DeliveryCount
from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from actors.ledger.queries import delivery_index
from actors.ledger.queries.filters import END_OF_TIME_MS
from actors.ledger.queries.hot_path import PENDING_COUNT
from actors.ledger.rollups import COLUMNS
from actors.ledger.store_connection import StoreConnection
from actors.ports import LoopBacklog
from domain.event_catalogue.triggers import TRIGGER_NAMES
from domain.statistics import ANSWERS
from domain.values import DeliveryState, id_text

_SUMS: Final = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in COLUMNS)
ATTEMPTS_SINCE: Final = f"SELECT {_SUMS} FROM attempt_minutes WHERE loop_no = $1 AND minute >= $2"  # noqa: S608
ATTEMPT_MINUTES: Final = (
    f"SELECT minute, {', '.join(COLUMNS)} FROM attempt_minutes"  # noqa: S608 - constants only
    " WHERE loop_no = $1 AND minute >= $2 ORDER BY minute"
)
EVENT_MINUTES: Final = (
    "SELECT minute, type, count FROM event_minutes WHERE account_no = $1 AND minute >= $2 ORDER BY minute, type"
)
BACKLOG: Final = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE {pending} AND loop_no = $1 LIMIT $2) AS d"
#: One index look-up per loop.
BACKLOGS: Final = (
    "SELECT l.no, l.state, coalesce(h.breaker, 'closed'),"
    " (SELECT min(due_at_ms) FROM deliveries WHERE {pending} AND loop_no = l.no)"
    " FROM loops AS l LEFT JOIN loop_health AS h ON h.loop_no = l.no WHERE l.deleted = 0"
)
DELIVERIES_OF_EVENT: Final = (
    "SELECT d.id, l.id FROM deliveries AS d {join} loops AS l ON l.no = d.loop_no"
    " WHERE d.event_id = $1 AND l.account_no = $2 AND l.deleted = 0 ORDER BY d.id LIMIT $3"
)
DELIVERY_COUNTS: Final = (
    "SELECT d.event_id, d.state, d.many, (SELECT account_no FROM loops WHERE no = d.loop_no AND deleted = 0) FROM"
    " (SELECT event_id, state, loop_no, count(*) AS many FROM deliveries"
    "   WHERE event_id {in $1} GROUP BY event_id, state, loop_no) AS d"
)
_NEWEST: Final = delivery_index.newest_first("id, created_at_ms", list(DeliveryState), delivery_index.ALL_TYPES)


class StatisticsQueries(StoreConnection):
    """The part of `LedgerReader` that counts. Minutes are Unix time in seconds divided by 60."""

    def attempts_since(self, loop_no: int, minute: int) -> Counts:
        """The sums of the loop's attempts since a minute."""
        [found] = self.rows(ATTEMPTS_SINCE, (loop_no, minute))
        return _counts([n or 0 for n in found])

    def attempt_minutes(self, loop_no: int, minute: int) -> list[AttemptMinute]:
        """The loop's attempts by minute since a minute, oldest first, without empty minutes."""
        found = self.rows(ATTEMPT_MINUTES, (loop_no, minute))
        return [AttemptMinute(minute=row[0], counts=_counts(row[1:])) for row in found]

    def event_minutes(self, account_no: int, minute: int) -> list[EventMinute]:
        """The account's events by minute and type since a minute, oldest first."""
        return [
            EventMinute(minute=at, type=TRIGGER_NAMES[code], count=count)
            for at, code, count in self.rows(EVENT_MINUTES, (account_no, minute))
        ]

    def backlog(self, loop_no: int, at_most: int) -> int:
        """The number of pending deliveries, due or not, counted up to `at_most`."""
        [(number,)] = self.rows(BACKLOG, (loop_no, at_most))
        return int(number)

    def newest_delivery_ms(self, loop_no: int) -> int | None:
        """When the loop's newest delivery was created, Unix milliseconds; None if it has none."""
        part = delivery_index.IndexRange(loop_no, 0, END_OF_TIME_MS, END_OF_TIME_MS, 0, 1)
        found = self.rows(_NEWEST, part)
        return int(found[0][1]) if found else None

    def deliveries_of_event(self, account_no: int, event_id: bytes, limit: int) -> list[tuple[int, str]]:
        """The delivery ids of an event, each with its loop id, oldest first, excluding deleted loops."""
        found = self.rows(DELIVERIES_OF_EVENT, (self.dialect.event_id(event_id), account_no, limit))
        return [(int(number), loop_id) for number, loop_id in found]

    def delivery_counts(self, account_no: int, event_ids: Collection[bytes]) -> list[DeliveryCount]:
        """The number of deliveries of each event by state, without zeros, excluding deleted loops."""
        counts: Counter[tuple[str, str]] = Counter()
        for event_id, state, count, owner in self.rows_of_events(DELIVERY_COUNTS, event_ids):
            if owner == account_no:
                counts[id_text("evt", event_id), DeliveryState(state).name.lower()] += count
        return [DeliveryCount(event=event, state=state, count=count) for (event, state), count in counts.items()]

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]:
        """The due deliveries of all loops that are not deleted, grouped by loop state and breaker state.

        At most `at_most` deliveries are counted per group, so the cost does not grow with the backlog. But it reads
        every loop, so do not call it for each request.
        """
        groups: dict[tuple[str, str], LoopBacklog] = {}
        for loop_no, state, breaker, next_due_ms in self.rows(BACKLOGS):
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


def _counts(numbers: Sequence[int]) -> Counts:
    return Counts(answers=list(numbers[: len(ANSWERS)]), buckets=list(numbers[len(ANSWERS) :]))
