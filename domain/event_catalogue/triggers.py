"""Triggers, one row each: their numbers in the ledger, where their events come from, and their labels.

A new trigger is a new name in `Trigger`, a row here, its fields in `domain.event_catalogue.fields`, and its intake. The
API, the OpenAPI document, the reference page, the samples, the command line, the dashboard and the metrics follow.
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


#: The sources that this version supports. For triggers of other sources it only sends samples.
SUPPORTED_SOURCES: Final = frozenset({Source.HIT})


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @property
    def is_sent(self) -> bool:
        """Whether this version sends events of this type, not only samples."""
        return self.source in SUPPORTED_SOURCES


_ROWS: Final = (
    EventType(
        trigger=Trigger.OPEN,
        code=1,
        source=Source.HIT,
        label="Opens",
        meaning="Someone opened the message: its pixel was loaded.",
        colour="cyan",
    ),
    EventType(
        trigger=Trigger.CLICK,
        code=2,
        source=Source.HIT,
        label="Clicks",
        meaning="Someone followed a link in the message.",
        colour="green",
    ),
    EventType(
        trigger=Trigger.DELIVERY,
        code=3,
        source=Source.REPORT,
        label="Deliveries",
        meaning="The receiving mail server accepted the message.",
        colour="blue",
        examples={"code": "250", "extended": "2.0.0", "description": "2.0.0 Ok: queued as 4F1A2B3C4D"},
    ),
    EventType(
        trigger=Trigger.BOUNCE,
        code=4,
        source=Source.REPORT,
        label="Bounces",
        meaning="The message was returned.",
        colour="red",
        examples={"envelope": "bounces@example.com"},
    ),
    EventType(
        trigger=Trigger.FAILURE,
        code=5,
        source=Source.REPORT,
        label="Failures",
        meaning="The message could not be delivered.",
        colour="red",
    ),
    EventType(
        trigger=Trigger.ABUSE,
        code=6,
        source=Source.REPORT,
        label="Complaints",
        meaning="Someone marked the message as spam.",
        colour="red",
    ),
    EventType(
        trigger=Trigger.UNSUBSCRIBE,
        code=7,
        source=Source.HIT,
        label="Unsubscribes",
        meaning="Someone unsubscribed, with the mail program's button (RFC 8058) or on the page.",
        colour="yellow",
    ),
    EventType(
        trigger=Trigger.CREATE,
        code=8,
        source=Source.PROFILE,
        label="New profiles",
        meaning="A profile or subprofile was created.",
        colour="magenta",
    ),
    EventType(
        trigger=Trigger.UPDATE,
        code=9,
        source=Source.PROFILE,
        label="Changed profiles",
        meaning="A profile or subprofile was changed.",
        colour="magenta",
    ),
    EventType(
        trigger=Trigger.DELETE,
        code=10,
        source=Source.PROFILE,
        label="Deleted profiles",
        meaning="A profile or subprofile was deleted.",
        colour="magenta",
    ),
)

#: All rows by the trigger's name, in the contract's order.
EVENT_TYPES: Final[dict[str, EventType]] = {row.trigger.value: row for row in _ROWS}
#: The rows of the events that this version sends.
SENT_TYPES: Final = tuple(row for row in _ROWS if row.is_sent)
TRIGGER_CODES: Final[dict[str, int]] = {name: row.code for name, row in EVENT_TYPES.items()}
TRIGGER_NAMES: Final[dict[int, str]] = {code: name for name, code in TRIGGER_CODES.items()}


def triggers_of(*sources: Source) -> tuple[str, ...]:
    """The names of the triggers whose events come from these sources."""
    return tuple(row.trigger.value for row in _ROWS if row.source in sources)
