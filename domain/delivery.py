"""Values of delivery: a delivery is one event owed to one loop, an attempt is one POST, an outcome is its result."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Error code of an event that exceeds the size limit of a POST: no attempt can succeed.
EVENT_TOO_LARGE: Final = "event_too_large"
#: Waiting deliveries of a loop are counted up to this number, because counting takes time.
MAX_WAITING: Final = 10_000


class OfferedDelivery(NamedTuple):
    """A delivery as a lane gets it: from enrichment at once, or from the outbox later."""

    delivery_id: int
    #: 16 bytes.
    event_id: bytes
    type: str
    #: The POST's fields, one JSON object (UTF-8).
    fields: bytes
    #: Attempts recorded so far.
    attempts: int
    #: Unix time, milliseconds, of the earliest attempt.
    due_at_ms: int
    #: Attempts that the retry schedule does not count; see `AttemptOutcome.forgiven`.
    forgiven: int = 0


class AttemptOutcome(NamedTuple):
    """The result of one attempt, as the ledger records it. Recording the same attempt twice changes nothing."""

    delivery_id: int
    #: From 1.
    attempt_no: int
    #: Unix time, milliseconds, when the attempt began.
    at_ms: int
    duration_ms: int
    #: HTTP status, or None without a response.
    status: int | None
    #: Error code (`timeout`, `connect`, `tls`, `address`, `redirect`, `status`, `protocol`,
    #: `event_too_large`), or None.
    error: str | None
    #: The start of the response's body, safe to show.
    excerpt: str
    #: IP address of the handler, or None.
    address: str | None
    #: `DeliveryState` after this attempt.
    state: int
    #: Unix time, milliseconds, of the next attempt; 0 when there is none.
    due_at_ms: int
    #: Bytes of the response's body that were read.
    response_bytes: int = 0
    #: Attempts of the delivery that its retry schedule does not count: those before a replay or a manual retry. The
    #: ledger keeps the greater of this and its own value.
    forgiven: int = 0
    #: The start of the response's headers, one `Name: value` per line, safe to show.
    response_headers: str = ""


class LaneHealth(NamedTuple):
    """Health of a loop's handler, as its lane sees it; recorded with outcomes, so that a restart continues from it.

    Times are Unix milliseconds, or None.
    """

    #: `closed` (delivering) or `open` (only probing).
    breaker: str = "closed"
    #: Time of the first failure since the last success.
    failing_since_ms: int | None = None
    last_success_ms: int | None = None
    last_failure_ms: int | None = None
    #: Failures since the last success.
    failures: int = 0
    #: When an open breaker allows the next probe.
    next_probe_ms: int | None = None
    #: Milliseconds without a success, counted while the loop is active and a failed delivery waits for its retry.
    failing_ms: int = 0
    #: The last failure in a few words for people, or "".
    last_error: str = ""


class ReplayProgress(NamedTuple):
    """A replay of a loop's deliveries, and its progress."""

    id: int
    loop_no: int
    #: `running`, `done` or `cancelled`.
    state: str
    #: `dead`, `all` or `missed`: which deliveries are replayed, or that deliveries are made of missed events.
    which: str
    since_ms: int
    #: Not included.
    until_ms: int
    #: Deliveries to replay, counted at the start.
    count: int  # type: ignore[assignment]  # hides tuple.count, which is not used
    #: Deliveries made due so far.
    done: int
    created_at_ms: int
    #: Whether `count` is an estimate.
    is_estimate: bool = False
    #: The event up to which missed events were replayed, hexadecimal; "" before the first.
    at_event: str = ""
