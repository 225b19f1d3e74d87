"""`domain.ledger`, on eventsourcing's in-memory store."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, TranscodingNotRegisteredError

from domain.account import Account
from domain.ledger import AGGREGATES, event_mapper
from domain.message import Message
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.tracking_event import TrackingEventRecorded
from domain.user import User
from tests.event_topics import event_topics
from tests.loops import a_loop

IN_MEMORY = {"PERSISTENCE_MODULE": "eventsourcing.popo"}
ACCOUNT = UUID(int=1)


@pytest.fixture
def ledger() -> Iterator[Application[UUID]]:
    with Application[UUID](IN_MEMORY) as ledger:
        yield ledger


def test_every_aggregate_round_trips(ledger: Application[UUID]) -> None:
    """Each kind of aggregate is loaded equal, next to events that belong to no aggregate."""
    account = Account.open(ACCOUNT, "Acme", 1)
    loop = a_loop()
    loop.verify("https://example.com/x", 2)
    message = Message.register(ACCOUNT, 1, "m", 1, "a@b.example", [], None, None, None, [], 3)
    profile = Profile.create(ACCOUNT, 1, ProfileKey("1", "2"), '{"_type_":"uuid_hex","_data_":"no"}', [], 4)
    user = User.join(UUID(int=7), "acc_1", "a@b.example", "hash", 5)
    saved = (account, loop, message, profile, user)
    assert {type(aggregate) for aggregate in saved} == set(AGGREGATES)
    ledger.save(*saved, TrackingEventRecorded(UUID(int=9), 1, 1, "open", 1, 5, "{}"))
    for aggregate in saved:
        assert ledger.repository.get(aggregate.id) == aggregate


def test_an_event_is_recorded_once(ledger: Application[UUID]) -> None:
    """The same tracking event cannot be stored twice (I3)."""
    event = TrackingEventRecorded(UUID(int=9), 1, 1, "open", 1, 5, "{}")
    ledger.save(event)
    with pytest.raises(IntegrityError):
        ledger.save(event)


def test_the_mapper_equals_that_of_an_application(ledger: Application[UUID]) -> None:
    """The mapper of any eventsourcing application writes the same bytes."""
    for event in a_loop().collect_events():
        assert event_mapper().to_stored_event(event) == ledger.mapper.to_stored_event(event)


def test_an_attribute_that_is_not_primitive_fails_at_once() -> None:
    """A value without a JSON form is refused when it is stored, not when it is loaded."""
    event = TrackingEventRecorded(UUID(int=9), 1, 1, "open", 1, 5, Decimal(1))  # type: ignore[arg-type]
    with pytest.raises(TranscodingNotRegisteredError):
        event_mapper().to_stored_event(event)


def test_topics_match_the_architecture() -> None:
    """The topics in code are those in docs/explanation/architecture.md."""
    loops = (
        "registered changed url-changed verification-attempted verified paused resumed disabled"
        " secret-rotated former-secrets-revoked deleted"
    )
    assert set(event_topics()) == {
        "account.opened",
        "account.api-key-issued",
        "account.api-key-revoked",
        *(f"user.{name}" for name in ("joined", "password-changed", "left")),
        *(f"feedback-loop.{name}" for name in loops.split()),
        "message.erased",
        "message.registered",
        *(f"profile.{name}" for name in ("created", "updated", "patched", "deleted", "recreated")),
        "tracking-event.recorded",
        "tracking-event.mail-kept",
    }
