"""The service itself: answers to repeated requests, readiness, metrics."""

from __future__ import annotations

from actors.commands.command import Command
from actors.compatibility import Crossing
from actors.metrics.cluster_inventory import Census
from actors.metrics.snapshots import Readings


class StoredAnswer(Crossing, frozen=True, kw_only=True):
    """The answer that a request with this Idempotency-Key got before."""

    status: int
    content_type: str
    body: bytes


class Readiness(Crossing, frozen=True, kw_only=True):
    """`problems` is empty when the service can carry an event from hit to handler."""

    problems: list[str]


class ClaimKey(Command[StoredAnswer | None], frozen=True, kw_only=True):
    """Claims an Idempotency-Key for a request. None: go ahead. Raises `IdempotencyConflict`.

    A claim whose request died is free again after `lease_s`.
    """

    scope: str
    key: str
    #: A hash of method, path and body.
    fingerprint: str
    lease_s: int = 60


class KeepAnswer(Command[None], frozen=True, kw_only=True):
    """Keeps the answer of a claimed key for 24 h; None frees the key (the request had no effect).

    Where another request holds the key by now, because this one outlived its lease, nothing happens.
    """

    scope: str
    key: str
    #: As it was claimed with.
    fingerprint: str
    answer: StoredAnswer | None


class CheckReadiness(Command[Readiness], frozen=True, kw_only=True):
    pass


class ReadCensus(Command[Census], frozen=True, kw_only=True):
    """Which nodes and actors there are; as of the same round of questions as the figures."""


class ReadMetrics(Command[Readings], frozen=True, kw_only=True):
    """What all processes behind the front end count and measure; within seconds, without those that do not answer."""
