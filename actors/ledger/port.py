"""Port for reading the ledger. Calls are synchronous, indexed look-ups; an event loop makes them in a thread.

Queries for the API return the value types of `actors.commands`, which are passed on unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.commands.accounts import Account
from actors.commands.deliveries import DeliveryPage, DeliveryView, ListDeliveries, Replay, ReplayPage
from actors.commands.events import EventPage, ListEvents
from actors.commands.loops import Loop, LoopPage
from actors.commands.messages import MessageView, Profile
from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from actors.ledger.access.port import AccessReader
from actors.ports import LoopBacklog
from domain.delivery import LaneHealth, OfferedDelivery, ReplayProgress
from domain.tracking import MessageFacts, ProfileFacts, RoutingTable


class LoopRow(Loop, frozen=True, kw_only=True):
    """A loop's read model: the API's view of the loop, and its number and account."""

    no: int
    account_no: int
    account_id: str
    deleted: bool = False


class StatisticsReader(Protocol):
    """Reads for statistics: counts per minute, and backlogs. A minute is Unix time in seconds divided by 60."""

    def attempts_since(self, loop_no: int, minute: int) -> Counts: ...
    def attempt_minutes(self, loop_no: int, minute: int) -> list[AttemptMinute]: ...
    def event_minutes(self, account_no: int, minute: int) -> list[EventMinute]: ...
    def backlog(self, loop_no: int, at_most: int) -> int:
        """The number of pending deliveries, due or not, counted up to `at_most`."""
        ...

    def newest_delivery_ms(self, loop_no: int) -> int | None: ...
    def deliveries_of_event(self, account_no: int, event_id: bytes, limit: int) -> list[tuple[int, str]]:
        """The delivery ids of an event, each with its loop id, excluding deleted loops."""
        ...


class LedgerReader(AccessReader, StatisticsReader, Protocol):
    """Reads committed rows. Any process may have a reader. Raises `StoreUnavailable` while it cannot read."""

    def close(self) -> None: ...

    # aggregates
    def events_of(self, originator_id: UUID) -> Sequence[StoredEvent]:
        """All events of one aggregate, in order; empty if it does not exist."""
        ...

    # enrichment
    def routing_table(self) -> RoutingTable: ...
    def messages(self, keys: Collection[int]) -> dict[int, MessageFacts]: ...
    def profiles(self, keys: Collection[tuple[int, str, str]]) -> dict[tuple[int, str, str], ProfileFacts]:
        """The profiles that exist, by (account_no, database, profile id)."""
        ...

    def taken_firsts(self, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """The (message key, first key) pairs that an event has claimed already."""
        ...

    def loops_owed(self, event_ids: Collection[bytes]) -> list[int]:
        """The number of each loop that has a pending delivery of these events."""
        ...

    # delivery
    def due_deliveries(
        self, loop_no: int, now_ms: int, limit: int, skip: Collection[int], *, in_order: bool = False
    ) -> list[OfferedDelivery]:
        """Pending deliveries of the loop due by `now_ms`, soonest first, except the ids in `skip`.

        `in_order`: all pending deliveries, due or not, in order of id, which is the order of recording.
        """
        ...

    def pending_delivery(self, loop_no: int, delivery_id: int) -> OfferedDelivery | None:
        """A delivery of the loop, due or not; None if it is not pending."""
        ...

    def loops_due(self, now_ms: int) -> list[str]:
        """Ids of the active loops that have a pending delivery due by `now_ms`, or a running replay.

        The cost grows with the number of loops that have pending deliveries, not with all loops or all deliveries.
        """
        ...

    def next_due_ms(self, loop_no: int) -> int | None:
        """When the loop's soonest pending delivery is due (Unix milliseconds); None if nothing is pending."""
        ...

    def newest_delivery_id(self) -> int:
        """The highest delivery id given so far, across all loops. Ids only grow."""
        ...

    def health(self, loop_no: int) -> LaneHealth:
        """The last recorded health of the loop's handler."""
        ...

    def pending_count(self, loop_no: int, at_most: int) -> int:
        """The number of pending deliveries that are due, counted up to `at_most`."""
        ...

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]:
        """The due deliveries of all loops that are not deleted, grouped by loop state and breaker state.

        At most `at_most` deliveries are counted per group, so the cost does not grow with the backlog. But it reads
        every loop, so do not call it for each request.
        """
        ...

    def running_replay(self, loop_no: int) -> ReplayProgress | None:
        """The running replay of the loop, if any."""
        ...

    def list_replays(self, loop_no: int, limit: int, cursor: str | None) -> ReplayPage: ...
    def replay(self, loop_no: int, replay_id: int) -> Replay | None: ...
    def delivery(self, account_no: int, delivery_id: int) -> tuple[int, DeliveryView] | None:
        """The loop number and the view of a delivery, unless its loop is deleted."""
        ...

    # views for the API; those with `account_no` are limited to that account
    def account_by_key(self, key_hash: str) -> Account | None: ...
    def loop(self, loop_id: str) -> LoopRow | None:
        """A loop by id, including deleted loops (see `LoopRow.deleted`)."""
        ...

    def loop_by_no(self, loop_no: int) -> LoopRow | None:
        """A loop by number, including deleted loops (see `LoopRow.deleted`)."""
        ...

    def running_loops(self) -> list[str]:
        """Ids of all loops that are not deleted, oldest first."""
        ...

    def list_loops(self, account_no: int, limit: int, cursor: str | None) -> LoopPage: ...
    def list_deliveries(self, loop_no: int, query: ListDeliveries) -> DeliveryPage: ...
    def message(self, account_no: int, message_id: str) -> MessageView | None: ...
    def profile(self, account_no: int, database: str, profile_id: str) -> Profile | None: ...
    def list_events(self, query: ListEvents) -> EventPage: ...
