"""Triggers, one row each: their numbers in the ledger, where their events come from, and their labels.

A new trigger needs a name in `Trigger`, a row here, its fields in `domain.event_catalogue.event_fields`, and its
intake. The API, the OpenAPI document, the reference page, the samples, the command line, the dashboard and the metrics
follow.
Source: the contract, sections 1 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final


class Trigger(StrEnum):
    """A type of event that a loop can subscribe to."""

    OPEN = "open"
    CLICK = "click"
    DELIVERY = "delivery"
    BOUNCE = "bounce"
    FAILURE = "failure"
    ABUSE = "abuse"
    UNSUBSCRIBE = "unsubscribe"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Source(Enum):
    """Where the events of a trigger come from."""

    #: Requests by mail programs and browsers.
    HIT = 1
    #: Statements about a message by other systems.
    REPORT = 2
    #: Changes of profiles and subprofiles.
    PROFILE = 3


@dataclass(frozen=True, slots=True)
class EventType:
    """The row of one trigger."""

    trigger: Trigger
    #: The trigger's number in the ledger's tables; never changed or reused.
    code: int
    source: Source
    #: For people, in the plural.
    label: str
    #: One sentence for the documentation and the dashboard.
    meaning: str
    #: The colour of the trigger's name in a terminal.
    colour: str
    #: Examples that differ from the field's own, by field.
    examples: Mapping[str, Any] = field(default_factory=dict)
    #: Whether reports may state it although hits are its source too.
    also_reported: bool = False


_ROWS: Final = (
    EventType(Trigger.OPEN, 1, Source.HIT, "Opens", "Someone opened the message, which loaded its pixel.", "cyan"),
    EventType(Trigger.CLICK, 2, Source.HIT, "Clicks", "Someone followed a link in the message.", "green"),
    EventType(
        Trigger.DELIVERY,
        3,
        Source.REPORT,
        "Deliveries",
        "The receiving mail server accepted the message.",
        "blue",
        examples={"code": "250", "extended": "2.0.0", "description": "2.0.0 Ok: queued as 4F1A2B3C4D"},
    ),
    EventType(
        Trigger.BOUNCE,
        4,
        Source.REPORT,
        "Bounces",
        "The message was returned.",
        "red",
        examples={"envelope": "bounces@example.com"},
    ),
    EventType(Trigger.FAILURE, 5, Source.REPORT, "Failures", "The message could not be delivered.", "red"),
    EventType(Trigger.ABUSE, 6, Source.REPORT, "Complaints", "Someone marked the message as spam.", "red"),
    EventType(
        Trigger.UNSUBSCRIBE,
        7,
        Source.HIT,
        "Unsubscribes",
        "Someone unsubscribed, with the mail program's button (RFC 8058) or on the service's page.",
        "yellow",
        also_reported=True,
    ),
    EventType(Trigger.CREATE, 8, Source.PROFILE, "New profiles", "A profile or subprofile was created.", "magenta"),
    EventType(Trigger.UPDATE, 9, Source.PROFILE, "Changed profiles", "A profile or subprofile was changed.", "magenta"),
    EventType(
        Trigger.DELETE, 10, Source.PROFILE, "Deleted profiles", "A profile or subprofile was deleted.", "magenta"
    ),
)

#: All rows by the trigger's name, in the contract's order.
EVENT_TYPES: Final[dict[str, EventType]] = {row.trigger.value: row for row in _ROWS}
TRIGGER_CODES: Final[dict[str, int]] = {name: row.code for name, row in EVENT_TYPES.items()}
TRIGGER_NAMES: Final[dict[int, str]] = {code: name for name, code in TRIGGER_CODES.items()}


#: The names of the triggers that a report may state.
REPORTED: Final = tuple(row.trigger.value for row in _ROWS if row.source is Source.REPORT or row.also_reported)


def triggers_of(*sources: Source) -> tuple[str, ...]:
    """The names of the triggers whose events come from these sources."""
    return tuple(row.trigger.value for row in _ROWS if row.source in sources)
