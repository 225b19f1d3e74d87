"""What the cores need of the world, as small protocols. Tests pass fakes, bootstrap passes the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventsourcing.persistence import StoredEvent

from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.tracking import EventToRecord, RecordedEvents


class Clock(Protocol):
    """Time of day and a time that only grows."""

    def now_ms(self) -> int:
        """Unix time, milliseconds."""
        ...

    def monotonic_s(self) -> float: ...


class UrlCheck(Protocol):
    """Policy for the URLs of handlers."""

    async def check_url(self, url: str) -> None:
        """Raises InvalidInput (/url) when the address is not allowed; accepts a name that does not resolve now."""
        ...


class LedgerWriter(Protocol):
    """The only way anything is written. Each call is durable when it returns; calls from anywhere share commits."""

    async def append(self, events: Sequence[StoredEvent]) -> None:
        """Appends events of aggregates and brings the read models up to them, in one transaction.

        Raises:
            ConcurrentWrite: a version or a unique id is taken; nothing was written.
            StoreUnavailable: retry.
        """
        ...

    async def record_events(self, routes_version: int, events: Sequence[EventToRecord]) -> RecordedEvents:
        """Stores events with one delivery for each loop, all or nothing; what is there already is left as it is.

        Raises:
            StaleRoutes, FirstTaken: nothing was written, enrich again.
            StoreUnavailable: retry.
        """
        ...

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        """Records attempts, all of one loop, and moves their deliveries on. Idempotent by (delivery, attempt number).

        `health`: a loop's number and how its handler does now, kept beside them.

        Raises:
            StoreUnavailable: retry.
        """
        ...


class ReplayLedger(Protocol):
    """The writes of replays: few and small, so that live traffic goes on between them."""

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """Counts what there is to replay and notes the replay, running.

        Raises:
            Conflict: another replay of this loop is running.
            StoreUnavailable: retry.
        """
        ...

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        """Makes the next deliveries of a running replay (at most `limit`) pending and due, and notes how far it came.

        In one transaction, so a crash repeats none and forgets none. One that has ended stays as it is.
        """
        ...

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        """Ends a running replay; one that has ended stays as it is."""
        ...

    async def retry_delivery(self, delivery_id: int) -> None:
        """Makes one delivery pending and due now, with its attempts so far forgiven."""
        ...


class RetentionLimits(NamedTuple):
    """What may be dropped: everything created before these Unix times (milliseconds); None keeps it for ever."""

    #: Delivered and dead deliveries, with their attempts; and replays that have ended.
    deliveries_before_ms: int | None
    #: Attempts of deliveries that are kept.
    attempts_before_ms: int | None
    #: Tracking events, but those that a delivery still needs.
    events_before_ms: int | None


class RetentionLedger(Protocol):
    """Dropping what is old, a little at a time."""

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """Drops at most about `limit` rows in one transaction, oldest first, and gives how many; 0: nothing is left.

        Raises:
            StoreUnavailable: retry later.
        """
        ...


class LoopBacklog(NamedTuple):
    """Loops of one state whose breakers are in one state, and what is due to them."""

    #: A `LoopState`.
    state: str
    #: `closed` or `open`.
    breaker: str
    loops: int
    #: Deliveries that are pending and due.
    waiting: int
    #: Unix time, milliseconds, since when the oldest of them is due; None when nothing is.
    oldest_due_ms: int | None


class LoopNotifier(Protocol):
    """Notifies feedback loops of new deliveries."""

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        """Hands recorded deliveries to a loop at once; never blocks, may drop them (the outbox has them)."""
        ...

    def nudge(self, loop_id: str) -> None:
        """Tells a loop that its outbox may hold deliveries it was not offered; never blocks."""
        ...


class HttpRequest(NamedTuple):
    """One POST to a handler."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes
    #: Seconds for the whole attempt: connect, send, answer and body.
    timeout_s: float


class HttpResponse(NamedTuple):
    """What a handler answered, or why there is no answer. Never an exception: a bad handler is an ordinary thing."""

    #: None when there was no answer.
    status: int | None
    #: A word of `AttemptOutcome.error`, or None when a status came.
    error: str | None
    #: For people: what went wrong in one sentence, or "".
    detail: str
    #: The first KiB of the body; without a status, the first bytes of what came in place of an answer.
    body_start: bytes
    #: The `Retry-After` header's value, or None.
    retry_after: str | None
    #: IP address connected to, or None.
    address: str | None
    duration_s: float
    #: Bytes of the body that were read.
    response_bytes: int = 0
    #: The first 2 KiB of the headers, `Name: value` in a line each.
    head_start: bytes = b""


class HttpClient(Protocol):
    """POSTs to handlers. Checks the address it connects to (I6), follows no redirect, bounds what it reads."""

    async def post(self, request: HttpRequest) -> HttpResponse: ...

    async def close(self) -> None: ...


class FetchedProof(NamedTuple):
    """What lies at a place where a verification file or record may be."""

    #: The content, at most 4 KiB + 1 byte; None when there is none.
    body: bytes | None
    #: One plain sentence on what was found ("404 Not Found", "the address 10.0.0.1 is not allowed", …).
    found: str


class ProofFetcher(Protocol):
    """Looks for the proof that a server is its owner's."""

    async def fetch_file(self, url: str) -> FetchedProof:
        """GETs `url`; follows no redirect; only a 200 has a body. Never raises."""
        ...

    async def fetch_txt(self, name: str) -> list[FetchedProof]:
        """One entry per TXT string set of the DNS name, or a single one without body. Never raises."""
        ...
