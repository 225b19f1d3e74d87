"""Filter values of lists: checked, and converted for the store."""

from __future__ import annotations

from typing import Final

from domain.errors import InvalidInput
from domain.event_catalogue.triggers import TRIGGER_CODES
from domain.values import DeliveryState

#: Later than any stored time. Event ids have 48 bits of time.
END_OF_TIME_MS: Final = 2**48 - 1
_STATES: Final = {state.name.lower(): state for state in DeliveryState}


def time_ms(given_ms: int) -> int:
    """The time, clamped to the range of event ids."""
    return max(0, min(given_ms, END_OF_TIME_MS))


def first_event_id(at_ms: int) -> bytes:
    """The smallest event id of a millisecond. Ids are UUIDv7 (RFC 9562 5.7), which start with 48 bits of time."""
    return (time_ms(at_ms) << 80).to_bytes(16, "big")


def type_code(name: str) -> int:
    """The number of an event type.

    Raises:
        InvalidInput: there is no such type.
    """
    if name not in TRIGGER_CODES:
        problem = f"must be one of {', '.join(TRIGGER_CODES)}"
        raise InvalidInput(f"type {problem}", [("/type", problem)])
    return TRIGGER_CODES[name]


def delivery_state(name: str) -> DeliveryState:
    """The delivery state with this name.

    Raises:
        InvalidInput: there is no such state.
    """
    if name not in _STATES:
        problem = f"must be one of {', '.join(_STATES)}"
        raise InvalidInput(f"state {problem}", [("/state", problem)])
    return _STATES[name]
