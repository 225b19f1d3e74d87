"""The event-sourced application: all facts of the system in one log.

Importing this module registers every topic, which readers of stored events need.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent
from eventsourcing.utils import Environment, EnvType

from domain.account import Account
from domain.aggregate import EventSourced
from domain.feedback_loop import FeedbackLoop
from domain.message import Message
from domain.profile import Profile
from domain.tracking_event import TrackingEventRecorded
from domain.user import User

#: Every aggregate in the ledger. Only `TrackingEventRecorded` belongs to no aggregate.
AGGREGATES: Final[tuple[type[EventSourced], ...]] = (Account, FeedbackLoop, Message, Profile, User)


def event_topics() -> dict[str, type]:
    """The class of events for each topic in the ledger."""
    classes: dict[str, type] = {TrackingEventRecorded.TOPIC: TrackingEventRecorded}
    for aggregate in AGGREGATES:
        classes |= {e.TOPIC: e for e in vars(aggregate).values() if isinstance(e, type) and hasattr(e, "TOPIC")}
    return classes


class Ledger(Application[UUID]):
    """The application. `env` configures all of its persistence; the process environment is not read."""

    name = "ledger"

    def __init__(self, env: EnvType) -> None:
        super().__init__(env)

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """The environment that was passed in. eventsourcing would merge it with `os.environ`."""
        return Environment(name, env)

    def register_transcodings(self, transcoder: JSONTranscoder) -> None:
        """Registers the only type of events that JSON does not have: the timestamp."""
        _register_transcodings(transcoder)


@functools.cache
def event_mapper() -> Mapper[UUID]:
    """The mapper between domain events and stored events, equal to that of `Ledger`, without a database.

    It is stateless, so a process has one.
    """
    transcoder = JSONTranscoder()
    _register_transcodings(transcoder)
    return Mapper(transcoder)


def _register_transcodings(transcoder: JSONTranscoder) -> None:
    transcoder.register(DatetimeAsISO())


def domain_events(mapper: Mapper[UUID], stored: Iterable[StoredEvent]) -> list[DomainEventProtocol[UUID]]:
    """The domain events of stored events, for `from_events`."""
    return [mapper.to_domain_event(event) for event in stored]
