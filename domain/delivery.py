"""A delivery: one event owed to one loop. An attempt: one POST of it. An outcome: what came of the attempt."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The word for an event that is larger than any POST may be: no attempt at it will ever succeed.
EVENT_TOO_LARGE: Final = "event_too_large"


class OfferedDelivery(NamedTuple):
    """A delivery as a lane takes it, from enrichment at once or from the outbox later."""

    delivery_id: int
    #: 16 bytes.
    event_id: bytes
    type: str
    #: The POST's fields, one JSON object (UTF-8).
    fields: bytes
    #: Attempts recorded so far.
    attempts: int
    #: Unix time, milliseconds: not before this.
    due_at_ms: int
    #: Attempts that a replay does not count: the retry schedule begins anew after them.
    forgiven: int = 0


class AttemptOutcome(NamedTuple):
    """What came of one attempt, as the ledger records it. Recording the same attempt twice changes nothing."""

    delivery_id: int
    #: From 1.
    attempt_no: int
    #: Unix time, milliseconds, when the attempt began.
    at_ms: int
    duration_ms: int
    #: HTTP status, or None when there was no answer.
    status: int | None
    #: A word for what went wrong (`timeout`, `connect`, `tls`, `address`, `redirect`, `status`, `protocol`,
    #: `event_too_large`), or None.
    error: str | None
    #: The start of the answer's body, made safe to show.
    excerpt: str
    #: The address connected to, or None.
    address: str | None
    #: `DeliveryState` after this attempt.
    state: int
    #: Unix time, milliseconds, of the next attempt; 0 when there is none.
    due_at_ms: int
    #: Bytes of the answer's body that were read.
    response_bytes: int = 0
    #: Attempts of the delivery that its retry schedule does not count: those from before a replay, and those that were
    #: followed by another at once. The ledger keeps the greater of this and what it has.
    forgiven: int = 0
    #: The start of the answer's headers, `Name: value` in a line each, made safe to show.
    response_headers: str = ""


class LaneHealth(NamedTuple):
    """How a loop's handler does, as its lane sees it; recorded with outcomes, so that a restart goes on from there.

    Times are Unix milliseconds, or None.
    """

    #: `closed` (all is well), `open` (probing now and then instead of delivering).
    breaker: str = "closed"
    #: When the run of failures alone began that still goes on.
    failing_since_ms: int | None = None
    last_success_ms: int | None = None
    last_failure_ms: int | None = None
    #: Failures in that run.
    failures: int = 0
    #: When an open breaker lets the next probe through.
    next_probe_ms: int | None = None


class ReplayProgress(NamedTuple):
    """A replay of a loop's deliveries, and how far it has come."""

    id: int
    loop_no: int
    #: `running`, `done` or `cancelled`.
    state: str
    #: `dead` or `all`: which deliveries are replayed.
    which: str
    since_ms: int
    #: Not included.
    until_ms: int
    #: Deliveries to replay, counted at the start.
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs
    #: Deliveries given back to the lane so far.
    done: int
    created_at_ms: int
