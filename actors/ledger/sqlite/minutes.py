"""Counts attempts and events by the minute, as they are recorded. A few small writes for each batch of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

from domain.delivery import AttemptOutcome
from domain.figures import ANSWERS, BUCKETS, KEPT_MINUTES, MINUTE_MS, NOTHING, answer_class, bucket
from domain.tracking import EventToRecord
from domain.values import TRIGGER_CODES

COLUMNS: Final = tuple([f"a{n}" for n in range(len(ANSWERS))] + [f"b{n}" for n in range(BUCKETS)])

LOOP_OF: Final = "SELECT loop_no FROM deliveries WHERE id = ?"
_ADD_ATTEMPTS: Final = (
    f"INSERT INTO attempt_minutes (loop_no, minute, {', '.join(COLUMNS)})"  # noqa: S608 - no value is in it
    f" VALUES (?, ?{', ?' * len(COLUMNS)}) ON CONFLICT (loop_no, minute) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)
)
OLD_ATTEMPT_MINUTES: Final = "DELETE FROM attempt_minutes WHERE loop_no = ? AND minute < ?"
_ADD_EVENTS: Final = (
    "INSERT INTO event_minutes (account_no, minute, type, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (account_no, minute, type) DO UPDATE SET count = count + excluded.count"
)
OLD_EVENT_MINUTES: Final = "DELETE FROM event_minutes WHERE account_no = ? AND minute < ?"


def count_attempts(cursor: sqlite3.Cursor, outcomes: Sequence[AttemptOutcome]) -> None:
    """Counts outcomes of one loop, and drops what is too old of it."""
    found = cursor.execute(LOOP_OF, (outcomes[0].delivery_id,)).fetchone()
    if found is None:  # dropped or erased meanwhile
        return
    minutes: dict[int, list[int]] = {}
    for outcome in outcomes:
        counts = minutes.setdefault(outcome.at_ms // MINUTE_MS, list(NOTHING))
        counts[answer_class(outcome.status)] += 1
        counts[len(ANSWERS) + bucket(outcome.duration_ms)] += 1
    cursor.executemany(_ADD_ATTEMPTS, [(found[0], minute, *counts) for minute, counts in minutes.items()])
    cursor.execute(OLD_ATTEMPT_MINUTES, (found[0], max(minutes) - KEPT_MINUTES))


def count_events(cursor: sqlite3.Cursor, events: Sequence[EventToRecord], now_ms: int) -> None:
    """Counts new events, of whichever accounts, and drops what is too old of these."""
    oldest = now_ms // MINUTE_MS - KEPT_MINUTES
    counts = Counter((e.account_no, e.time_ms // MINUTE_MS, TRIGGER_CODES[e.type]) for e in events)
    cursor.executemany(_ADD_EVENTS, [(*key, count) for key, count in counts.items() if key[1] >= oldest])
    for account_no in {account_no for account_no, _, _ in counts}:
        cursor.execute(OLD_EVENT_MINUTES, (account_no, oldest))
