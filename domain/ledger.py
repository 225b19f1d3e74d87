"""The event-sourced application: all of the system's facts in one log.

Importing this module makes every topic known, so it is what a reader of stored events imports.
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

#: Every aggregate in the ledger. `TrackingEventRecorded` is the one event that belongs to none.
AGGREGATES: Final[tuple[type[EventSourced], ...]] = (Account, FeedbackLoop, Message, Profile, User)


def event_topics() -> dict[str, type]:
    """Each topic in the ledger and the class of its events."""
    classes: dict[str, type] = {TrackingEventRecorded.TOPIC: TrackingEventRecorded}
    for aggregate in AGGREGATES:
        classes |= {e.TOPIC: e for e in vars(aggregate).values() if isinstance(e, type) and hasattr(e, "TOPIC")}
    return classes


class Ledger(Application[UUID]):
    """The application. Where and how it persists is in `env`, all of it: the process environment is not read."""

    name = "ledger"

    def __init__(self, env: EnvType) -> None:
        super().__init__(env)

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """The environment as it was passed in (eventsourcing would lay it over `os.environ`)."""
        return Environment(name, env)

    def register_transcodings(self, transcoder: JSONTranscoder) -> None:
        """Knows the one type besides JSON's own that events hold: their timestamp's."""
        _register_transcodings(transcoder)


@functools.cache
def event_mapper() -> Mapper[UUID]:
    """The mapper between domain events and stored events, the same as `Ledger`'s, that needs no database.

    One for all who ask in a process: it holds nothing of what it maps.
    """
    transcoder = JSONTranscoder()
    _register_transcodings(transcoder)
    return Mapper(transcoder)


def _register_transcodings(transcoder: JSONTranscoder) -> None:
    transcoder.register(DatetimeAsISO())


def domain_events(mapper: Mapper[UUID], stored: Iterable[StoredEvent]) -> list[DomainEventProtocol[UUID]]:
    """The events behind what is stored, ready for `from_events`."""
    return [mapper.to_domain_event(event) for event in stored]
