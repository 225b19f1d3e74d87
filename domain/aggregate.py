"""Base class of the event-sourced aggregates.

Two rules hold for every aggregate below it:

* Each event class has its own `TOPIC`, which is stored, so that files and classes can move while stored history stays
  readable. Defining an aggregate or an event without a topic fails at import.
* The domain reads no clock: each command takes `at_ms` (Unix time, milliseconds), each event stores it, and
  eventsourcing's own `timestamp` is derived from it.

Events hold only strings, numbers, booleans and lists of strings; maps are JSON strings. eventsourcing interprets a
stored object of exactly `{"_type_", "_data_"}` on load, so a user's map stored as such could make its aggregate
unreadable.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from eventsourcing.domain import (
    AggregateEvent,
    BaseAggregate,
    CanInitAggregate,
    CanMutateAggregate,
    DomainEventProtocol,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(at_ms: int) -> datetime:
    """The exact, timezone-aware UTC time of a Unix time in milliseconds."""
    return _EPOCH + timedelta(milliseconds=at_ms)


class EventSourced(BaseAggregate[UUID]):
    """An aggregate. Only its events change its attributes; commands check, then trigger an event."""

    class Event(AggregateEvent):
        """Something that happened to the aggregate; `apply` changes it, now and at every replay."""

        at_ms: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "TOPIC" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} has no TOPIC: the name under which its history is stored")
        super().__init_subclass__(**kwargs)

    @classmethod
    def from_events(cls, events: Iterable[DomainEventProtocol[UUID]]) -> Self | None:
        """Rebuilds an aggregate from all of its events, in order; None without events.

        Raises:
            TypeError: these are not events of this aggregate.
        """
        aggregate: BaseAggregate[UUID] | None = None
        for event in events:
            if not isinstance(event, EventSourced.Event):
                raise TypeError(f"{type(event).__name__} is not an event of {cls.__name__}")
            aggregate = event.mutate(aggregate)
        if aggregate is not None and not isinstance(aggregate, cls):
            raise TypeError(f"these are the events of {type(aggregate).__name__}, not of {cls.__name__}")
        return aggregate

    @classmethod
    def _create(
        cls,
        event_class: type[CanInitAggregate[UUID]],
        *,
        id: UUID | None = None,  # noqa: A002 - eventsourcing's name
        **kwargs: Any,
    ) -> Self:
        return super()._create(event_class, id=id, timestamp=instant(kwargs["at_ms"]), **kwargs)

    def trigger_event(self, event_class: type[CanMutateAggregate[UUID]], **kwargs: Any) -> None:
        """Applies a new event with the timestamp of its `at_ms`, and queues it for storage."""
        super().trigger_event(event_class, timestamp=instant(kwargs["at_ms"]), **kwargs)
