"""Ports of the cores: small protocols, implemented by adapters and other actors, and by fakes in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventsourcing.persistence import StoredEvent

from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord


class Clock(Protocol):
    """Time of day, and a monotonic time."""

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
    """The only way to write to the store. A call returns once it is durable; concurrent calls share commits."""

    async def append(self, events: Sequence[StoredEvent]) -> None:
        """Appends events of aggregates and updates the read models, in one transaction.

        Raises:
            ConcurrentWrite: a version or a unique id is taken; nothing was written.
            StoreUnavailable: retry.
        """
        ...

    async def record_events(
        self, routes_version: int, events: Sequence[EventToRecord], reports: Sequence[ReportToRecord] = ()
    ) -> RecordedEvents:
        """Stores events, each with one delivery per loop, all or nothing. Events that are stored already are skipped.

        Of reports with the same digest, only the first is stored with its events, for as long as the digest is kept.

        Raises:
            StaleRoutes, FirstTaken: nothing was written; enrich the events again.
            StoreUnavailable: retry.
        """
        ...

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        """Records attempts, all of one loop, and updates their deliveries. Idempotent by (delivery, attempt number).

        `health`: the number of a loop and its new health, which is stored with them.

        Raises:
            StoreUnavailable: retry.
        """
        ...


class ChangeLedger(Protocol):
    """Writes of changes with the events about them."""

    async def append_and_record(
        self, changes: Sequence[StoredEvent], routes_version: int, events: Sequence[EventToRecord]
    ) -> RecordedEvents:
        """Appends events of aggregates and stores the events about them, in one transaction. See `LedgerWriter`.

        Raises:
            ConcurrentWrite, StaleRoutes: nothing was written.
            StoreUnavailable: retry.
        """
        ...


class ReplayLedger(Protocol):
    """Writes of replays and manual retries: few and small, so that they do not hold up live traffic."""

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """Counts the deliveries or missed events to replay, and records the replay as running.

        Raises:
            Conflict: the loop has another running replay.
            StoreUnavailable: retry.
        """
        ...

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        """Requeues the next deliveries of a running replay (at most `limit`), due now, and records its position.

        A replay of missed events makes new deliveries. It is one transaction, so a crash neither repeats nor skips any.
        A replay that has ended is unchanged.
        """
        ...

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        """Cancels a replay if it is running."""
        ...

    async def retry_delivery(self, delivery_id: int) -> None:
        """Makes one delivery pending and due now; the retry schedule no longer counts its attempts so far."""
        ...


class RetentionLimits(NamedTuple):
    """Age limits of retention, Unix times in milliseconds: older rows may be deleted. None keeps them forever."""

    #: Delivered and dead deliveries with their attempts, and ended replays.
    deliveries_before_ms: int | None
    #: Attempts of deliveries that are kept.
    attempts_before_ms: int | None
    #: Tracking events without deliveries.
    events_before_ms: int | None
    #: Messages without events.
    messages_before_ms: int | None = None
    #: Returned mails that no pending delivery needs.
    mails_before_ms: int | None = None
    #: Data of profiles that was replaced or deleted before that time.
    profile_history_before_ms: int | None = None


class RetentionLedger(Protocol):
    """Deletion of expired rows, a little at a time."""

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """Deletes about `limit` expired rows in one transaction, oldest first. Returns their number; 0 if none is left.

        Raises:
            StoreUnavailable: retry later.
        """
        ...


class LoopBacklog(NamedTuple):
    """The due deliveries of all loops with the same loop state and breaker state."""

    #: A `LoopState`.
    state: str
    #: `closed` or `open`.
    breaker: str
    loops: int
    #: Pending deliveries that are due.
    waiting: int
    #: When the oldest of them became due, Unix milliseconds; None if nothing is due.
    oldest_due_ms: int | None


class ErasureBacklog(NamedTuple):
    """The running erasures that wait for the same."""

    #: `front_ends`, or the `service` itself.
    waits_for: str
    erasures: int
    #: When the oldest was requested, Unix milliseconds.
    oldest_ms: int


class LoopNotifier(Protocol):
    """Notifies feedback loops of new deliveries."""

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        """Hands recorded deliveries to a loop. Never blocks, and may drop them (the outbox has them)."""
        ...

    def nudge(self, loop_id: str) -> None:
        """Makes a loop read its outbox, which may hold deliveries that it was not offered. Never blocks."""
        ...


class HttpRequest(NamedTuple):
    """One POST to a handler."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes
    #: Seconds for the whole attempt: connect, send, and receive the response.
    timeout_s: float


class HttpResponse(NamedTuple):
    """Response of a handler, or the reason why there is none. Never an exception, because bad handlers are normal."""

    #: None if there is no response.
    status: int | None
    #: A code of `AttemptOutcome.error`; None if there is a status.
    error: str | None
    #: The problem in one sentence for people, or "".
    detail: str
    #: The first KiB of the body; without a status, the first bytes received instead of a response.
    body_start: bytes
    #: The `Retry-After` header's value, or None.
    retry_after: str | None
    #: IP address connected to, or None.
    address: str | None
    duration_s: float
    #: Bytes of the body that were read.
    response_bytes: int = 0
    #: The first 2 KiB of the headers, one `Name: value` per line.
    head_start: bytes = b""


class HttpClient(Protocol):
    """POSTs to handlers. Connects only to permitted addresses (I6), follows no redirect, and bounds responses."""

    async def post(self, request: HttpRequest) -> HttpResponse: ...

    async def close(self) -> None: ...


class FetchedProof(NamedTuple):
    """Content of a place where a verification file or record may be."""

    #: The content, at most 4 KiB + 1 byte; None when there is none.
    body: bytes | None
    #: The finding in one sentence ("404 Not Found", "the address 10.0.0.1 is not allowed", …).
    found: str


class ProofFetcher(Protocol):
    """Fetches proofs that a handler belongs to the owner of its loop."""

    async def fetch_file(self, url: str) -> FetchedProof:
        """GETs `url`; follows no redirect; only a 200 has a body. Never raises."""
        ...

    async def fetch_txt(self, name: str) -> list[FetchedProof]:
        """One entry per TXT string set of the DNS name, or a single one without body. Never raises."""
        ...
