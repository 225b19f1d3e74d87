"""`domain.tracking_event`."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict
from uuid import UUID

import msgspec
import pytest
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import StoredEvent

from domain.ledger import event_mapper
from domain.tracking_event import TrackingEventRecorded

EVENT = TrackingEventRecorded(UUID(int=7), 1, 3, "click", 9, 1_700_000_000_000, '{"_type_":"x","_data_":"é\\n"}')


def test_it_round_trips_through_the_store() -> None:
    """The mapper stores the event under its topic and loads it equal, whatever its fields."""
    mapper = event_mapper()
    stored = mapper.to_stored_event(EVENT)
    assert stored.topic == "tracking-event.recorded"
    assert mapper.to_domain_event(stored) == EVENT


def test_any_json_encoder_can_write_its_state() -> None:
    """The stored state is a plain JSON object of the attributes, so a fast encoder may write it."""
    attributes = {k: v for k, v in asdict(EVENT).items() if not k.startswith("originator")}
    assert json.loads(event_mapper().to_stored_event(EVENT).state) == attributes
    by_hand = StoredEvent(EVENT.originator_id, 1, EVENT.TOPIC, msgspec.json.encode(attributes))
    assert event_mapper().to_domain_event(by_hand) == EVENT


def test_it_is_a_frozen_domain_event() -> None:
    """eventsourcing treats it like its own events, and it is immutable."""
    assert isinstance(EVENT, DomainEventProtocol)
    with pytest.raises(FrozenInstanceError):
        EVENT.type = "open"  # type: ignore[misc]
