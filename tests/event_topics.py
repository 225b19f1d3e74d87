"""Topics of the ledger's events, with their classes."""

from __future__ import annotations

from domain.ledger import AGGREGATES
from domain.tracking_event import ReturnedMailKept, TrackingEventRecorded


def event_topics() -> dict[str, type]:
    """Each topic in the ledger and the class of its events."""
    classes: dict[str, type] = {event.TOPIC: event for event in (TrackingEventRecorded, ReturnedMailKept)}
    for aggregate in AGGREGATES:
        classes |= {e.TOPIC: e for e in vars(aggregate).values() if isinstance(e, type) and hasattr(e, "TOPIC")}
    return classes
