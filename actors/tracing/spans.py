"""Spans of an event on its way from hit to POST, and the sampling of events.

The id of an event (a UUIDv7 of 16 bytes) is also the id of its trace, and its last half is the id of the root span. So
every process knows both, and no trace context has to be passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

#: The last 56 bits of a UUIDv7 are random (RFC 9562), as W3C's "random-trace-id" requires for sampling decisions. The
#: two bits above them are the variant.
_RANDOM_BITS: Final = 56


class Span(NamedTuple):
    """A step of processing one event. Times are Unix nanoseconds."""

    #: 16 bytes.
    event_id: bytes
    #: `hit` for the root; `enrich`, `record` or `attempt` for its children.
    name: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    #: The kind of failure, or None.
    error: str | None = None

    @property
    def is_root(self) -> bool:
        return self.name == "hit"


class Traces(Protocol):
    """An exporter of spans. Never blocks; drops spans that it cannot send fast enough."""

    def wants(self, event_id: bytes) -> bool:
        """Whether this event is traced. The same in every process."""
        ...

    def add(self, span: Span) -> None:
        """Adds a span of a traced event."""
        ...

    def stop(self, within_s: float) -> None:
        """Sends the remaining spans. Returns after at most `within_s`."""
        ...


def trace_id(event_id: bytes) -> int:
    """The id of an event's trace."""
    return int.from_bytes(event_id, "big")


def root_span_id(event_id: bytes) -> int:
    """The id of the `hit` span. Never 0, because of the variant bits of a UUID."""
    return int.from_bytes(event_id[8:], "big")


class Sampling:
    """Selects a share of all events by the random bits of their ids."""

    def __init__(self, share: float) -> None:
        """`share` from 0 (none) to 1 (all)."""
        self._below = round(share * (1 << _RANDOM_BITS))

    def wants(self, event_id: bytes) -> bool:
        """Whether the event is selected."""
        return int.from_bytes(event_id[9:], "big") < self._below
