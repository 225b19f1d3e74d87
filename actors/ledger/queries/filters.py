"""Filter values of lists: checked, and converted for the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from domain.errors import InvalidInput
from domain.values import DeliveryState

T = TypeVar("T")

#: Later than any stored time. Event ids have 48 bits of time.
END_OF_TIME_MS: Final = 2**48 - 1
#: Delivery states by their names in the API.
STATES: Final = {state.name.lower(): state for state in DeliveryState}


def time_ms(given_ms: int) -> int:
    """The time, clamped to the range of event ids."""
    return max(0, min(given_ms, END_OF_TIME_MS))


def first_event_id(at_ms: int) -> bytes:
    """The smallest event id of a millisecond. Ids are UUIDv7 (RFC 9562 5.7), which start with 48 bits of time."""
    return (time_ms(at_ms) << 80).to_bytes(16, "big")


def id_before(event_id: bytes) -> bytes:
    """The next smaller id."""
    return max(int.from_bytes(event_id, "big") - 1, 0).to_bytes(16, "big")


def id_after(event_id: bytes) -> bytes:
    """The next greater id."""
    return min(int.from_bytes(event_id, "big") + 1, 2**128 - 1).to_bytes(16, "big")


def one_of(values: Mapping[str, T], name: str, field: str) -> T:
    """The value with this name, given in the request's `field`.

    Raises:
        InvalidInput: there is no such value.
    """
    if name not in values:
        raise InvalidInput.at(f"/{field}", f"must be one of {', '.join(values)}")
    return values[name]
