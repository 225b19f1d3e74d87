"""`domain.aggregate`: rules for every aggregate."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from uuid import UUID

import pytest
from eventsourcing.domain import ProgrammingError

from domain.account import Account
from domain.aggregate import EventSourced, instant
from domain.feedback_loop import FeedbackLoop
from domain.ledger import AGGREGATES
from domain.tracking_event import TrackingEventRecorded
from tests.event_topics import event_topics

ID = UUID(int=1)
PRIMITIVES = {"str", "int", "float", "bool", "list[str]", "str | None", "float | None"}
EVENTSOURCINGS_OWN = {"originator_id", "originator_version", "timestamp", "originator_topic"}


@pytest.mark.parametrize("topic", sorted(event_topics()))
def test_events_hold_only_primitives(topic: str) -> None:
    """Every attribute of an event is a JSON value; a user's map is JSON text and never an object."""
    types = {f.name: f.type for f in fields(event_topics()[topic]) if f.name not in EVENTSOURCINGS_OWN}
    assert set(types.values()) <= PRIMITIVES


def test_an_aggregate_needs_a_topic() -> None:
    """An aggregate class without a topic cannot be defined."""
    with pytest.raises(TypeError, match="has no TOPIC"):
        type("Nameless", (EventSourced,), {"__module__": __name__})


def test_an_event_needs_a_topic() -> None:
    """An aggregate class with an event without a topic cannot be defined."""
    with pytest.raises(ProgrammingError, match="Explicit topic not defined"):

        class Careless(EventSourced):
            TOPIC = "test.careless"

            class Happened(EventSourced.Event):
                pass


def test_a_topic_belongs_to_one_event() -> None:
    """Two event classes cannot share a topic."""
    with pytest.raises(ProgrammingError, match="already registered"):

        class Copycat(EventSourced):
            TOPIC = "test.copycat"

            class Opened(EventSourced.Event):
                TOPIC = "account.opened"


def test_topics_start_with_their_aggregates() -> None:
    """Every event's topic begins with its aggregate's, and the ledger has no others."""
    names = {vars(aggregate)["TOPIC"] for aggregate in AGGREGATES} | {TrackingEventRecorded.TOPIC.partition(".")[0]}
    assert {topic.partition(".")[0] for topic in event_topics()} == names


def test_the_time_of_an_event_is_its_commands() -> None:
    """eventsourcing's timestamp is the command's time, to the millisecond; no clock is read."""
    account = Account.open(ID, "Acme", 1_700_000_000_123)
    account.issue_api_key("0" * 64, 1_700_000_000_456)
    first, second = account.collect_events()
    assert (first.timestamp, second.timestamp) == (instant(1_700_000_000_123), instant(1_700_000_000_456))
    assert instant(1_700_000_000_123) == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)


def test_an_aggregate_is_the_fold_of_its_events() -> None:
    """Folding the events yields an equal aggregate, and no events yield none."""
    account = Account.open(ID, "Acme", 1)
    account.issue_api_key("0" * 64, 2)
    assert Account.from_events(account.collect_events()) == account
    assert Account.from_events([]) is None


def test_foreign_events_are_refused() -> None:
    """A loop cannot be folded from an account's events or from a tracking event."""
    with pytest.raises(TypeError, match="events of Account, not of FeedbackLoop"):
        FeedbackLoop.from_events(Account.open(ID, "Acme", 1).collect_events())
    with pytest.raises(TypeError, match="TrackingEventRecorded is not an event of FeedbackLoop"):
        FeedbackLoop.from_events([TrackingEventRecorded(ID, 1, 1, "open", 1, 1, "{}")])
