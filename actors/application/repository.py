"""Repository of aggregates: loads, changes and saves them with optimistic concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from actors.ledger.concurrency import retry_on_conflict
from actors.ledger.reader import LedgerReader
from actors.ports import LedgerWriter
from domain.aggregate import EventSourced
from domain.errors import NotFound
from domain.ledger import domain_events, stored_events

A = TypeVar("A", bound=EventSourced)


class AggregateRepository:
    """Aggregates of the ledger."""

    def __init__(self, ledger: LedgerWriter, reader: LedgerReader) -> None:
        self._ledger = ledger
        self._reader = reader

    async def save(self, *aggregates: EventSourced) -> None:
        """Appends the new events of the aggregates, all or none.

        Raises:
            ConcurrentWrite: another request wrote first; nothing was written.
        """
        await self._ledger.append(stored_events(*aggregates))

    async def load(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """The aggregate, or None if it does not exist."""
        return await asyncio.to_thread(lambda: kind.from_events(domain_events(self._reader.events_of(aggregate_id))))

    async def change(self, kind: type[A], aggregate_id: UUID | None, act: Callable[[A], None]) -> None:
        """Loads an aggregate, changes it with `act`, and saves it. Repeats this when another request wrote first.

        Raises:
            NotFound: there is no such aggregate; also if `aggregate_id` is None.
            ConcurrentWrite: other requests keep writing.
        """

        async def attempt() -> None:
            found = None if aggregate_id is None else await self.load(kind, aggregate_id)
            if found is None:
                raise NotFound(f"there is no such {kind.__name__.lower()}")
            act(found)
            await self.save(found)

        await retry_on_conflict(attempt, "other requests keep changing this; try again")
