"""Queries of enrichment and delivery: set-based look-ups by index, many times a second."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.ledger.event_encoding import decode_delivered, decode_kept_mail
from actors.ledger.loop_projection import LoopKey, LoopProjection
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock
from domain.delivery import LaneHealth, OfferedDelivery
from domain.event_catalogue.triggers import TRIGGER_NAMES
from domain.tracking import MessageFacts, ProfileFacts, RoutingTable

EVENTS_OF: Final = (
    "SELECT originator_version, topic, state FROM stored_events WHERE originator_id = $1 ORDER BY originator_version"
)
ROUTES_VERSION: Final = "SELECT value FROM meta WHERE name = 'routes_version'"
ROUTED_LOOPS: Final = "SELECT no, id, account_no, doc FROM loops WHERE state <> 'disabled' AND deleted = 0 ORDER BY no"
MESSAGES: Final = (
    "{often}SELECT key, account_no, id, recipient, tags, mailing, database, profile, erased_at_ms"
    " FROM messages WHERE key {in $1}"
)
API_KEY: Final = (
    "SELECT account_no, NULL FROM api_keys WHERE hash = $1"
    " UNION ALL SELECT account_no, revoked_at_ms FROM revoked_api_keys WHERE hash = $1"
)
KEPT_MAIL: Final = "SELECT state FROM stored_events WHERE originator_id = $1 AND originator_version = 2"
HAS_DIGEST: Final = "SELECT 1 FROM report_digests WHERE digest = $1"
LOOPS_OWED: Final = "SELECT DISTINCT loop_no FROM deliveries WHERE state = 0 AND event_id {in $1}"
DUE_DELIVERIES: Final = (
    "{often}SELECT d.id, d.event_id, d.type, d.attempts, d.due_at_ms, d.forgiven, s.state FROM"
    " (SELECT id, event_id, type, attempts, due_at_ms, forgiven FROM deliveries"
    "   WHERE {pending} AND loop_no = $1 AND due_at_ms <= $2 AND id {not in $3}"
    "   ORDER BY due_at_ms, id LIMIT $4) AS d"
    " {join} {stored d}"
    " ORDER BY d.due_at_ms, d.id"
)
#: Names the index, because each store would rather scan the deliveries of all loops by id.
PENDING_IN_ORDER: Final = (
    "SELECT d.id, d.event_id, d.type, d.attempts, d.due_at_ms, d.forgiven, s.state FROM"
    " (SELECT id, event_id, type, attempts, due_at_ms, forgiven FROM deliveries {by deliveries_pending}"
    "   WHERE {pending} AND loop_no = $1 AND id {not in $2} ORDER BY {pending id} LIMIT $3) AS d"
    " {join} {stored d}"
    " ORDER BY d.id"
)
PENDING_ONE: Final = (
    "SELECT d.id, d.event_id, d.type, d.attempts, d.due_at_ms, d.forgiven, s.state FROM deliveries AS d"
    " {join} {stored d} WHERE d.id = $1 AND d.loop_no = $2 AND d.state = 0"
)
#: Steps through the index from loop to loop, however many deliveries each has.
LOOPS_DUE: Final = (
    "WITH RECURSIVE owed (no) AS ("
    "  SELECT (SELECT min(loop_no) FROM deliveries {by deliveries_due} WHERE state = 0)"
    "  UNION ALL"
    "  SELECT (SELECT min(loop_no) FROM deliveries {by deliveries_due} WHERE state = 0 AND loop_no > owed.no)"
    "   FROM owed WHERE owed.no IS NOT NULL)"
    " SELECT l.id FROM owed {join} loops AS l ON l.no = owed.no WHERE l.state = 'active' AND l.deleted = 0"
    "  AND (SELECT min(due_at_ms) FROM deliveries {by deliveries_due} WHERE state = 0 AND loop_no = owed.no) <= $1"
    " UNION"
    " SELECT l.id FROM replays AS r {by replays_running} {join} loops AS l ON l.no = r.loop_no"
    "  WHERE r.state = 'running' AND l.state = 'active' AND l.deleted = 0"
)
#: Steps from loop to loop like `LOOPS_DUE`.
LOOPS_FAILING: Final = (
    "WITH RECURSIVE failing (no) AS ("
    "  SELECT (SELECT min(loop_no) FROM deliveries {by deliveries_failed} WHERE state = 0 AND attempts > forgiven)"
    "  UNION ALL"
    "  SELECT (SELECT min(loop_no) FROM deliveries {by deliveries_failed}"
    "    WHERE state = 0 AND attempts > forgiven AND loop_no > failing.no)"
    "   FROM failing WHERE failing.no IS NOT NULL)"
    " SELECT l.id FROM failing {join} loops AS l ON l.no = failing.no WHERE l.state = 'active' AND l.deleted = 0"
)
HAS_FAILED: Final = (
    "SELECT 1 FROM deliveries {by deliveries_failed} WHERE state = 0 AND attempts > forgiven AND loop_no = $1 LIMIT 1"
)
NEWEST_DELIVERY_ID: Final = "SELECT last_id FROM delivery_ids"
NEXT_DUE: Final = "{often}SELECT min(due_at_ms) FROM deliveries WHERE {pending} AND loop_no = $1"
PENDING_COUNT: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE {pending} AND loop_no = $1 AND due_at_ms <= $2 LIMIT $3) AS d"
)
#: The columns of `LaneHealth`, in its order.
HEALTH_COLUMNS: Final = (
    "breaker, failing_since_ms, last_success_ms, last_failure_ms, failures, next_probe_ms, failing_ms, last_error"
)
HEALTH: Final = f"SELECT {HEALTH_COLUMNS} FROM loop_health WHERE loop_no = $1"  # noqa: S608 - constants only


_strings: Final = msgspec.json.Decoder(list[str])
_objects: Final = msgspec.json.Decoder(dict[str, object])


class ApiKeyFacts(NamedTuple):
    """The account of an API key."""

    account_no: int
    #: Unix milliseconds; None while the key is valid.
    revoked_at_ms: int | None


class EnrichmentQueries(StoreConnection):
    """The part of `LedgerReader` for enrichment and for loading aggregates."""

    def events_of(self, originator_id: UUID) -> Sequence[StoredEvent]:
        """All events of one aggregate, in order; empty if it does not exist."""
        return [StoredEvent(originator_id, *row) for row in self.rows(EVENTS_OF, (originator_id.hex,))]

    def routing_table(self) -> RoutingTable:
        """All routes, and the version of the whole table."""
        with self.snapshot() as cursor:
            (version,) = cursor.execute(ROUTES_VERSION).fetchone()
            loops = cursor.execute(ROUTED_LOOPS).fetchall()
        routes = [LoopProjection.from_text(doc).route(LoopKey(*key)) for *key, doc in loops]
        return RoutingTable(version, [route for route in routes if route is not None])

    def messages(self, keys: Collection[int]) -> dict[int, MessageFacts]:
        """The messages that exist, by key."""
        found = self.rows(MESSAGES, (self.many(keys),)) if keys else []
        return {
            key: MessageFacts(
                key, account_no, id_, recipient, _strings.decode(tags), mailing, database, profile, erased is not None
            )
            for key, account_no, id_, recipient, tags, mailing, database, profile, erased in found
        }

    def message_keys(self, column: str, names: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
        """The keys of the messages that exist, by (account_no, text): `column` is `id` or `reference`."""
        storable = [name for name in names if "\0" not in name[1]]  # PostgreSQL refuses NUL, also in a query
        found = self.message_key_rows(column, storable) if storable else []
        return {(account_no, name): key for account_no, name, key in found}

    def has_digest(self, digest: bytes) -> bool:
        """Whether a report with this digest was recorded."""
        return self.row(HAS_DIGEST, (digest,)) is not None

    def api_key(self, hash_: str) -> ApiKeyFacts | None:
        """The account of an API key, also of a revoked one, by the key's SHA-256 (hexadecimal)."""
        found = self.row(API_KEY, (hash_,))
        return ApiKeyFacts(*found) if found else None

    def profiles(self, keys: Collection[tuple[int, str, str]]) -> dict[tuple[int, str, str], ProfileFacts]:
        """The profiles that exist, by (account_no, database, profile id)."""
        found = self.profile_rows(keys) if keys else []
        return {
            (account_no, database, id_): ProfileFacts(
                database, id_, _objects.decode(fields), _strings.decode(interests)
            )
            for account_no, database, id_, fields, interests in found
        }

    def taken_firsts(self, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """The (message key, first key) pairs that an event has claimed already."""
        return set(self.first_rows(keys)) if keys else set()

    def loops_owed(self, event_ids: Collection[bytes]) -> list[int]:
        """The number of each loop that has a pending delivery of these events, in ascending order."""
        return sorted({no for (no,) in self.rows_of_events(LOOPS_OWED, event_ids)})

    @abstractmethod
    def message_key_rows(self, column: str, names: Collection[tuple[int, str]]) -> list[Row]:
        """account_no, the column's text, and key of the messages that exist."""

    @abstractmethod
    def profile_rows(self, keys: Collection[tuple[int, str, str]]) -> list[Row]:
        """account_no, database, id, fields and interests of the profiles that exist."""

    @abstractmethod
    def first_rows(self, keys: Collection[tuple[int, int]]) -> list[Row]:
        """The (message key, first key) pairs that are in `first_hits`."""


class LaneQueries(StoreConnection):
    """The part of `LedgerReader` for the lanes of loops."""

    #: Decides which deliveries are due.
    clock: Clock

    def due_deliveries(
        self, loop_no: int, now_ms: int, limit: int, skip: Collection[int], *, in_order: bool = False
    ) -> list[OfferedDelivery]:
        """Pending deliveries of the loop due by `now_ms`, soonest first, except the ids in `skip`.

        `in_order`: all pending deliveries, due or not, in order of id, which is the order of recording.
        """
        if in_order:
            found = self.rows(PENDING_IN_ORDER, (loop_no, self.many(skip), limit))
        else:
            found = self.rows(DUE_DELIVERIES, (loop_no, now_ms, self.many(skip), limit))
        return [_offered(*row) for row in found]

    def kept_mail(self, event_id: bytes) -> str | None:
        """The text of the returned mail of an event."""
        found = self.row(KEPT_MAIL, (event_id.hex(),))
        return decode_kept_mail(found[0]).mime if found else None

    def pending_delivery(self, loop_no: int, delivery_id: int) -> OfferedDelivery | None:
        """A delivery of the loop, due or not; None if it is not pending."""
        found = self.row(PENDING_ONE, (delivery_id, loop_no))
        return _offered(*found) if found else None

    def loops_due(self, now_ms: int) -> list[str]:
        """Ids of the active loops that have a pending delivery due by `now_ms`, or a running replay.

        The cost grows with the number of loops that have pending deliveries, not with all loops or all deliveries.
        """
        return [loop_id for (loop_id,) in self.rows(LOOPS_DUE, (now_ms,))]

    def loops_failing(self) -> list[str]:
        """Ids of the active loops with a failed delivery that waits for its retry, however far off that is."""
        return [loop_id for (loop_id,) in self.rows(LOOPS_FAILING)]

    def has_failed(self, loop_no: int) -> bool:
        """Whether a failed delivery of the loop waits for its retry."""
        return self.row(HAS_FAILED, (loop_no,)) is not None

    def next_due_ms(self, loop_no: int) -> int | None:
        """When the loop's soonest pending delivery is due (Unix milliseconds); None if nothing is pending."""
        [(due_at_ms,)] = self.rows(NEXT_DUE, (loop_no,))
        return None if due_at_ms is None else int(due_at_ms)

    def pending_count(self, loop_no: int, at_most: int) -> int:
        """The number of pending deliveries that are due, counted up to `at_most`, which bounds the cost."""
        [(number,)] = self.rows(PENDING_COUNT, (loop_no, self.clock.now_ms(), at_most))
        return int(number)

    def newest_delivery_id(self) -> int:
        """The highest delivery id given so far, across all loops. Ids only grow."""
        [(last_id,)] = self.rows(NEWEST_DELIVERY_ID)
        return int(last_id)

    def health(self, loop_no: int) -> LaneHealth:
        """The last recorded health of the loop's handler. A loop without a record is healthy."""
        found = self.row(HEALTH, (loop_no,))
        return LaneHealth(*found) if found else LaneHealth()


def _offered(
    id_: int, event_id: bytes, type_: int, attempts: int, due_at_ms: int, forgiven: int, state: bytes
) -> OfferedDelivery:
    fields = decode_delivered(state).fields.encode()
    return OfferedDelivery(id_, event_id, TRIGGER_NAMES[type_], fields, attempts, due_at_ms, forgiven)
