"""What the actors read of the ledger. Synchronous and quick (indexed look-ups); an event loop calls it in a thread."""

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
    """A loop's read model: what its owner sees, and its number and account."""

    no: int
    account_no: int
    account_id: str
    deleted: bool = False


class StatisticsReader(Protocol):
    """What is counted by the minute, and what waits. Minutes are Unix time divided by 60."""

    def attempts_since(self, loop_no: int, minute: int) -> Counts: ...
    def attempt_minutes(self, loop_no: int, minute: int) -> list[AttemptMinute]: ...
    def event_minutes(self, account_no: int, minute: int) -> list[EventMinute]: ...
    def backlog(self, loop_no: int, at_most: int) -> int:
        """Deliveries that are pending, due or not, counted up to `at_most`."""
        ...

    def newest_delivery_ms(self, loop_no: int) -> int | None: ...
    def deliveries_of_event(self, account_no: int, event_id: bytes, limit: int) -> list[tuple[int, str]]:
        """Ids of deliveries of the event, with the ids of their loops (not deleted)."""
        ...


class LedgerReader(AccessReader, StatisticsReader, Protocol):
    """Reads what has been committed. Any process may have its own. Raises `StoreUnavailable` when it cannot read."""

    def close(self) -> None: ...

    # aggregates
    def events_of(self, originator_id: UUID) -> Sequence[StoredEvent]:
        """All events of one aggregate, in order; empty when there is none."""
        ...

    # enrichment
    def routing_table(self) -> RoutingTable: ...
    def routes_version(self) -> int: ...
    def messages(self, keys: Collection[int]) -> dict[int, MessageFacts]: ...
    def profiles(self, keys: Collection[tuple[int, str, str]]) -> dict[tuple[int, str, str], ProfileFacts]:
        """By (account_no, database, profile id)."""
        ...

    def taken_firsts(self, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those (message key, first key) that an event has claimed already."""
        ...

    def loops_owed(self, event_ids: Collection[bytes]) -> list[int]:
        """loop_no of each loop with a pending delivery of these events."""
        ...

    # delivery
    def due_deliveries(
        self, loop_no: int, now_ms: int, limit: int, skip: Collection[int], *, in_order: bool = False
    ) -> list[OfferedDelivery]:
        """Pending deliveries of the loop due by `now_ms`, soonest first, without those in `skip`.

        `in_order`: all that are pending, due or not, by id: what was recorded first comes first.
        """
        ...

    def pending_delivery(self, loop_no: int, delivery_id: int) -> OfferedDelivery | None:
        """That delivery of the loop, due or not; None when it is not pending."""
        ...

    def loops_due(self, now_ms: int) -> list[str]:
        """Ids of the active loops that have a delivery pending and due by `now_ms`, or a replay running.

        The cost grows with the loops that have something pending, not with all loops nor with what is pending.
        """
        ...

    def next_due_ms(self, loop_no: int) -> int | None:
        """When the loop's soonest pending delivery is due, or None when nothing is pending."""
        ...

    def newest_delivery_id(self) -> int:
        """The highest id that any delivery was given so far, of whatever loop; ids only grow."""
        ...

    def health(self, loop_no: int) -> LaneHealth:
        """How the loop's handler did when its lane last said so."""
        ...

    def pending_count(self, loop_no: int, at_most: int) -> int:
        """Deliveries that are pending and due, counted up to `at_most`."""
        ...

    def backlogs(self, now_ms: int, at_most: int) -> Sequence[LoopBacklog]:
        """What is due to all loops that are not deleted, by state and breaker.

        Not more than `at_most` deliveries of each are counted. Quick whatever waits, but not for every request: it
        looks at each loop.
        """
        ...

    def running_replay(self, loop_no: int) -> ReplayProgress | None:
        """The loop's replay that has not ended."""
        ...

    def list_replays(self, loop_no: int, limit: int, cursor: str | None) -> ReplayPage: ...
    def replay(self, loop_no: int, replay_id: int) -> Replay | None: ...
    def delivery(self, account_no: int, delivery_id: int) -> tuple[int, DeliveryView] | None:
        """The number of its loop (not deleted), and the delivery."""
        ...

    # the API's views; all are limited to one account by `account_no`
    def account_by_key(self, key_hash: str) -> Account | None: ...
    def loop(self, loop_id: str) -> LoopRow | None:
        """By id, deleted ones too (`deleted`)."""
        ...

    def loop_by_no(self, loop_no: int) -> LoopRow | None:
        """By number, deleted ones too (`deleted`)."""
        ...

    def running_loops(self) -> list[str]:
        """Ids of all loops that are not deleted, oldest first."""
        ...

    def list_loops(self, account_no: int, limit: int, cursor: str | None) -> LoopPage: ...
    def list_deliveries(self, loop_no: int, query: ListDeliveries) -> DeliveryPage: ...
    def message(self, account_no: int, message_id: str) -> MessageView | None: ...
    def profile(self, account_no: int, database: str, profile_id: str) -> Profile | None: ...
    def list_events(self, query: ListEvents) -> EventPage: ...
