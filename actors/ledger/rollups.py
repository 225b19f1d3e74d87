"""Rollups: attempts and events counted per minute as they are recorded, with a few small writes per batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from domain.delivery import AttemptOutcome
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.statistics import ANSWERS, BUCKETS, KEPT_MINUTES, MINUTE_MS, NOTHING, answer_class, bucket
from domain.tracking import EventToRecord

COLUMNS: Final = tuple([f"a{n}" for n in range(len(ANSWERS))] + [f"b{n}" for n in range(BUCKETS)])

LOOP_OF: Final = "SELECT loop_no FROM deliveries WHERE id = $1"
_ADD_ATTEMPTS: Final = (
    f"INSERT INTO attempt_minutes (loop_no, minute, {', '.join(COLUMNS)})"  # noqa: S608 - constants only
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(COLUMNS) + 3))}) ON CONFLICT (loop_no, minute) DO UPDATE SET "
    + ", ".join(f"{name} = attempt_minutes.{name} + excluded.{name}" for name in COLUMNS)
)
OLD_ATTEMPT_MINUTES: Final = "DELETE FROM attempt_minutes WHERE loop_no = $1 AND minute < $2"
_ADD_EVENTS: Final = (
    "INSERT INTO event_minutes (account_no, minute, type, count) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (account_no, minute, type) DO UPDATE SET count = event_minutes.count + excluded.count"
)
OLD_EVENT_MINUTES: Final = "DELETE FROM event_minutes WHERE account_no = $1 AND minute < $2"


def count_attempts(cursor: Cursor, attempts: Iterable[tuple[int, AttemptOutcome]]) -> None:
    """Counts outcomes, each given with the number of its loop, and drops the expired minutes of these loops."""
    minutes: dict[tuple[int, int], list[int]] = {}
    for loop_no, outcome in attempts:
        counts = minutes.setdefault((loop_no, outcome.at_ms // MINUTE_MS), list(NOTHING))
        counts[answer_class(outcome.status)] += 1
        counts[len(ANSWERS) + bucket(outcome.duration_ms)] += 1
    if minutes:
        cursor.executemany(_ADD_ATTEMPTS, [(*key, *counts) for key, counts in minutes.items()])
        newest = dict(sorted(minutes))
        cursor.executemany(OLD_ATTEMPT_MINUTES, [(loop_no, at - KEPT_MINUTES) for loop_no, at in newest.items()])


def count_events(cursor: Cursor, events: Sequence[EventToRecord], now_ms: int) -> None:
    """Counts new events per account, and drops the expired minutes of these accounts."""
    oldest = now_ms // MINUTE_MS - KEPT_MINUTES
    counts = Counter((e.account_no, e.time_ms // MINUTE_MS, TRIGGER_CODES[e.type]) for e in events)
    rows = [(*key, count) for key, count in counts.items() if key[1] >= oldest]
    if rows:
        cursor.executemany(_ADD_EVENTS, rows)
        cursor.executemany(OLD_EVENT_MINUTES, [(account_no, oldest) for account_no in {row[0] for row in rows}])
