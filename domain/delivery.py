"""A delivery: one event owed to one loop. An attempt: one POST of it. An outcome: what came of the attempt."""

from __future__ import annotations

from typing import NamedTuple


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
    #: A word for what went wrong (`timeout`, `connect`, `tls`, `address`, `redirect`, `status`, `protocol`), or None.
    error: str | None
    #: The start of the answer's body, made safe to show.
    excerpt: str
    #: The address connected to, or None.
    address: str | None
    #: `DeliveryState` after this attempt.
    state: int
    #: Unix time, milliseconds, of the next attempt; 0 when there is none.
    due_at_ms: int
