"""What the actors read of the ledger. Synchronous and quick (indexed look-ups); an event loop calls it in a thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors import commands as c
from domain.delivery import OfferedDelivery
from domain.tracking import MessageFacts, ProfileFacts, RoutingTable


class LoopRow(c.Loop, frozen=True, kw_only=True):
    """A loop's read model: what its owner sees, and its number and account."""

    no: int
    account_no: int
    account_id: str
    deleted: bool = False


class LedgerReader(Protocol):
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
    def due_deliveries(self, loop_no: int, now_ms: int, limit: int, skip: Collection[int]) -> list[OfferedDelivery]:
        """Pending deliveries of the loop due by `now_ms`, soonest first, without those in `skip`."""
        ...

    def next_due_ms(self, loop_no: int) -> int | None:
        """When the loop's soonest pending delivery is due, or None when nothing is pending."""
        ...

    # the API's views; all are limited to one account by `account_no`
    def account_by_key(self, key_hash: str) -> c.Account | None: ...
    def loop(self, loop_id: str) -> LoopRow | None:
        """By id, deleted ones too (`deleted`)."""
        ...

    def running_loops(self) -> list[str]:
        """Ids of all loops that are not deleted, oldest first."""
        ...

    def list_loops(self, account_no: int, limit: int, cursor: str | None) -> c.LoopPage: ...
    def list_deliveries(self, loop_no: int, query: c.ListDeliveries) -> c.DeliveryPage: ...
    def message(self, account_no: int, message_id: str) -> c.MessageView | None: ...
    def profile(self, account_no: int, database: str, profile_id: str) -> c.Profile | None: ...
    def list_events(self, query: c.ListEvents) -> c.EventPage: ...
