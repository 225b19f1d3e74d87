"""Retention sweeps of personal data: messages, returned mails and the history of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.profile_history import without_data
from actors.ledger.profile_people import replace_people, resting_people
from actors.ledger.queries.filters import first_event_id, id_before
from actors.ledger.retention.sweeps import START, Expired, Position
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock, RetentionLimits
from domain.message import Message
from domain.tracking_event import ReturnedMailKept

#: Rows that a search looks at in one query.
_WINDOW: Final = 5000
#: Time between two passes over rows that may stay, so that they do not cost much.
PASS_MS: Final = 3600 * 1000
_strings: Final = msgspec.json.Decoder(list[str])


class _Passes:
    """The times at which a sweep may begin a pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_ms = 0

    def may_search(self, after: Position) -> bool:
        """Whether a pass is under way, or may begin."""
        return after != START or self._clock.now_ms() >= self._next_ms

    def end(self) -> None:
        self._next_ms = self._clock.now_ms() + PASS_MS


# --- messages

_HAS_EVENTS: Final = "EXISTS (SELECT 1 FROM events AS e {by events_of_message} WHERE e.message_key = wanted.key)"
OLD_MESSAGES: Final = (
    f"SELECT wanted.key, wanted.account_no, wanted.id, wanted.tags, a.id, {_HAS_EVENTS} FROM"  # noqa: S608
    " (SELECT key, account_no, id, tags FROM messages WHERE key > $1 AND key < $2 AND erased_at_ms IS NULL"
    "   ORDER BY key LIMIT $3) AS wanted"
    " {join} accounts AS a ON a.no = wanted.account_no ORDER BY wanted.key"
)
# The newest row always stays: SQLite numbers a new row after the highest one, and must not reuse a notification id.
_NEWEST: Final = (
    "SELECT originator_id FROM stored_events WHERE {position} = (SELECT max({position}) FROM stored_events)"
)
DROP_MESSAGES: Final = (
    f"DELETE FROM messages AS wanted WHERE key {{in $1}} AND erased_at_ms IS NULL AND NOT {_HAS_EVENTS} RETURNING key"  # noqa: S608
)
_DROP_REGISTRATION: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version = 1"
_DROP_TAG: Final = "DELETE FROM message_tags WHERE account_no = $1 AND tag = $2 AND message_key = $3"
_DROP_FIRSTS: Final = "DELETE FROM first_hits WHERE message_key {in $1}"
# An enricher that has read one of the messages reads it again, so it records no event of a message that is gone.
_FENCE: Final = "UPDATE meta SET value = value + 1 WHERE name = 'routes_version'"


class MessageSweep:
    """Messages without events. A message with events is the way to find them, for the history and for an erasure.

    Erased messages stay: late reports about them must not be recorded.
    """

    def __init__(self, clock: Clock) -> None:
        self._passes = _Passes(clock)

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        before_ms = limits.messages_before_ms
        if before_ms is None or not self._passes.may_search(after):
            return Expired([], START)
        # Younger messages have events that stay; looking at them would be in vain.
        if limits.events_before_ms is not None:
            before_ms = min(before_ms, limits.events_before_ms)
        until_key, window = max(before_ms, 0) << 21, max(limit, _WINDOW)
        after_key = after[0]
        while True:
            found = connection.rows(OLD_MESSAGES, (after_key, until_key, window))
            unused = [row for row in found if not row[5]]
            if len(unused) > limit:
                return Expired(unused[:limit], (unused[limit - 1][0], 0, START[2]))
            if len(found) < window:
                self._passes.end()
                return Expired(unused, START)
            after_key = found[-1][0]
            if unused:
                return Expired(unused, (after_key, 0, START[2]))

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        many, originator = cursor.dialect.many, cursor.dialect.event_id_bytes
        newest = {originator(id_) for (id_,) in cursor.execute(_NEWEST).fetchall()}
        ids = {row[0]: Message.create_id(UUID(row[4].removeprefix("acc_")), row[2]) for row in rows}
        keys = [key for key, id_ in ids.items() if id_.bytes not in newest]
        gone = {key for (key,) in cursor.execute(DROP_MESSAGES, (many(keys),)).fetchall()}
        if gone:
            cursor.executemany(_DROP_REGISTRATION, [(ids[key].hex,) for key in gone])
            tags = [(row[1], tag, row[0]) for row in rows if row[0] in gone for tag in set(_strings.decode(row[3]))]
            cursor.executemany(_DROP_TAG, tags)
            cursor.execute(_DROP_FIRSTS, (many(list(gone)),))
            cursor.execute(_FENCE)
        return len(gone)


# --- returned mails

OLD_MAILS: Final = (
    "SELECT originator_id, CASE WHEN {position} = (SELECT max({position}) FROM stored_events) THEN 1 ELSE 0 END"
    " FROM stored_events WHERE originator_id > $1 AND originator_id < $2 AND originator_version = 2 AND topic = $3"
    " ORDER BY originator_id LIMIT $4"
)
#: A delivery that waits is sent with its mail.
AWAITED: Final = "SELECT DISTINCT event_id FROM deliveries WHERE state = 0 AND event_id {in $1}"
_DROP_MAIL: Final = "DELETE FROM stored_events WHERE originator_id = $1 AND originator_version = 2 AND topic = $2"


class MailSweep:
    """Returned mails that no pending delivery needs. Their events stay, without `mime`.

    A pass begins after the mails that earlier passes have dropped, because it reads all events on its way.
    """

    def __init__(self, clock: Clock) -> None:
        self._passes = _Passes(clock)
        #: All mails until there have been dropped.
        self._swept = START[2]
        #: The first event of this pass whose mail stays.
        self._kept: bytes | None = None

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:
        if limits.mails_before_ms is None or not self._passes.may_search(after):
            return Expired([], START)
        until_id = first_event_id(limits.mails_before_ms)
        after_id = max(after[2], self._swept)
        read_id = connection.dialect.event_id_bytes
        while True:
            found = connection.rows(OLD_MAILS, (after_id.hex(), until_id.hex(), ReturnedMailKept.TOPIC, limit))
            ids = [read_id(originator_id) for originator_id, _ in found]
            kept = {id_ for id_, (_, is_newest) in zip(ids, found, strict=True) if is_newest}
            kept |= {row[0] for row in connection.rows_of_events(AWAITED, ids)}
            if self._kept is None and kept:
                self._kept = min(kept)
            old = [(id_,) for id_ in ids if id_ not in kept]
            if len(found) < limit:
                self._swept = max(self._swept, id_before(self._kept or until_id))
                self._kept = None
                self._passes.end()
                return Expired(old, START)
            after_id = ids[-1]
            if old:
                return Expired(old, (0, 0, after_id))

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        cursor.executemany(_DROP_MAIL, [(id_.hex(), ReturnedMailKept.TOPIC) for (id_,) in rows])
        return cursor.rowcount


# --- the history of profiles

SUPERSEDED: Final = (
    "SELECT h.superseded_at_ms, h.originator_id, h.version, s.state FROM profile_history AS h"
    " LEFT JOIN stored_events AS s ON s.originator_id = h.originator_id AND s.originator_version = h.version - 1"
    " WHERE h.superseded_at_ms < $1 ORDER BY h.superseded_at_ms, h.originator_id, h.version LIMIT $2"
)
_REDACT_VERSION: Final = "UPDATE stored_events SET state = $1 WHERE originator_id = $2 AND originator_version = $3"
_DROP_HISTORY: Final = "DELETE FROM profile_history WHERE superseded_at_ms = $1 AND originator_id = $2 AND version = $3"


class ProfileHistorySweep:
    """Former data of profiles and subprofiles. Their events stay without it: they rebuild the read models."""

    def find(self, connection: StoreConnection, limits: RetentionLimits, after: Position, limit: int) -> Expired:  # noqa: ARG002
        if limits.profile_history_before_ms is None:
            return Expired([], START)
        read_id = connection.dialect.event_id_bytes
        found = [
            (at_ms, read_id(id_).hex(), *more)
            for at_ms, id_, *more in connection.rows(SUPERSEDED, (limits.profile_history_before_ms, limit))
        ]
        # Whose address the history still has without these versions; most have no address.
        last = {id_: version - 1 for _, id_, version, state in found if state is not None and b"@" in bytes(state)}
        resting = {id_: resting_people(connection, UUID(id_), version) for id_, version in last.items()}
        return Expired([(*row, resting.get(row[1])) for row in found], START)

    def drop(self, cursor: Cursor, rows: Sequence[Row]) -> int:
        redacted = [(without_data(bytes(row[3])), row[1], row[2] - 1) for row in rows if row[3] is not None]
        cursor.executemany(_REDACT_VERSION, redacted)
        cursor.executemany(_DROP_HISTORY, [row[:3] for row in rows])
        for resting in {row[1]: row[4] for row in rows if row[4] is not None}.values():
            replace_people(cursor, resting)
        return len(rows)
