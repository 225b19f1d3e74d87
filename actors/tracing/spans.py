"""Spans of an event's way from hit to POST, and which events have them.

An event's id is 16 bytes (a UUIDv7), so it is the trace's id, and the root span's id is its last half: each process
knows both, and nothing has to be carried along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

#: Of a UUIDv7's last half the two highest bits are the variant; the last 56 are chance (RFC 9562, and W3C's
#: "random-trace-id"), which is what a decision may rest on.
_RANDOM_BITS: Final = 56


class Span(NamedTuple):
    """Something that was done for one event. Times are Unix nanoseconds."""

    #: 16 bytes.
    event_id: bytes
    #: `hit` is the root; `enrich`, `record` and `attempt` are below it.
    name: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    #: A word for what went wrong, or None.
    error: str | None = None

    @property
    def is_root(self) -> bool:
        return self.name == "hit"


class Traces(Protocol):
    """Takes spans; never blocks, and drops them when they cannot be sent as fast as they come."""

    def wants(self, event_id: bytes) -> bool:
        """Whether this event is traced; every process answers the same."""
        ...

    def add(self, span: Span) -> None:
        """Takes a span of an event that is traced."""
        ...

    def stop(self, within_s: float) -> None:
        """Sends what is there, and returns after `within_s` at the latest."""
        ...


def trace_id(event_id: bytes) -> int:
    """The id of an event's trace."""
    return int.from_bytes(event_id, "big")


def root_span_id(event_id: bytes) -> int:
    """The id of the `hit` span; the variant bits of a UUID keep it from being 0."""
    return int.from_bytes(event_id[8:], "big")


class Sampling:
    """Chooses a share of all events by the chance in their ids."""

    def __init__(self, share: float) -> None:
        """`share` from 0 (none) to 1 (all)."""
        self._below = round(share * (1 << _RANDOM_BITS))

    def wants(self, event_id: bytes) -> bool:
        """Whether the event is one of them."""
        return int.from_bytes(event_id[9:], "big") < self._below
