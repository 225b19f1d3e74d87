"""Aggregates of the ledger, and the mapping between domain events and stored events.

Importing this module registers every topic, so a reader of stored events imports it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent

from domain.account import Account
from domain.aggregate import EventSourced
from domain.feedback_loop import FeedbackLoop
from domain.message import Message
from domain.profile import Profile
from domain.tracking_event import TrackingEventRecorded  # noqa: F401 - registers its topic
from domain.user import User

#: Every aggregate in the ledger. Only `TrackingEventRecorded` belongs to no aggregate.
AGGREGATES: Final[tuple[type[EventSourced], ...]] = (Account, FeedbackLoop, Message, Profile, User)


@functools.cache
def event_mapper() -> Mapper[UUID]:
    """The mapper between domain events and stored events. It keeps no state, so a process shares one."""
    transcoder = JSONTranscoder()
    transcoder.register(DatetimeAsISO())  # of the timestamp, the only value in events that is not plain JSON
    return Mapper(transcoder)


def domain_events(stored: Iterable[StoredEvent]) -> list[DomainEventProtocol[UUID]]:
    """The domain events of stored events, ready for `from_events`."""
    return [event_mapper().to_domain_event(event) for event in stored]


def stored_events(*aggregates: EventSourced) -> list[StoredEvent]:
    """The new events of the aggregates, ready to be appended."""
    return [event_mapper().to_stored_event(event) for each in aggregates for event in each.collect_events()]
