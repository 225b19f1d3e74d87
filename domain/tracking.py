"""Intake from the edge, and the events that the ledger records of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from domain.loop_settings import EventFilter
from domain.reports.intake import Report, ReturnedMailEntry


class TrackingHit(NamedTuple):
    """An HTTP request of a mail client or browser, whose token is genuine.

    A tuple, because journal and frames encode it as an array.
    """

    #: UUIDv7, 16 bytes: the id of the event that this hit becomes (I3).
    event_id: bytes
    #: `open`, `click` or `unsubscribe`.
    kind: str
    account_no: int
    message_key: int
    #: Unix time, milliseconds.
    time_ms: int
    #: The URL behind the link of a click; otherwise empty.
    target: str
    ip: str
    useragent: str
    referer: str
    #: The purpose that the client stated (`Sec-Purpose`, `Purpose`, `X-Moz`, `X-Purpose`), lower case.
    purpose: str


#: What the edge journals and the enrichers turn into events: a tagged union (`actors.commands.intake`).
Intake: TypeAlias = TrackingHit | Report | ReturnedMailEntry


class EventToRecord(NamedTuple):
    """An enriched event, and the loops that should get it."""

    event_id: bytes
    account_no: int
    #: A trigger's name.
    type: str
    #: 0 if the event does not concern a message.
    message_key: int
    #: The first of its kind (`domain.enrichment.first_key`) that it claims to be, or None.
    first_key: int | None
    time_ms: int
    #: The fields of the POST as stored and delivered: one JSON object, UTF-8.
    fields: bytes
    #: `Route.loop_no` of each loop that should get the event.
    loop_nos: list[int]
    #: The returned mail as text, which is stored apart from the fields; None if there is none.
    mime: str | None = None


class ReportToRecord(NamedTuple):
    """A report, and the events that it becomes unless the ledger knows it already."""

    #: The id of its first event.
    report_id: bytes
    account_no: int
    #: Unique in the ledger for 100 days; empty for a report that records nothing.
    digest: bytes
    #: One of `domain.reports.intake.SOURCES`.
    source: str
    #: A trigger's name, or the kind of a returned mail.
    kind: str
    #: A `domain.reports.intake.ReportState`.
    state: int
    #: Their ids are `domain.reports.intake.further_id`.
    events: list[EventToRecord]
    #: Whether parts of a returned mail were ignored.
    is_truncated: bool = False


class RecordedEvents(NamedTuple):
    """The result of recording a batch: events, and reports with theirs.

    Positions count the events first, then those of the reports in their order.
    """

    #: For each event of the batch, the ids of its new deliveries in the order of `loop_nos`; empty for a duplicate.
    delivery_ids: list[list[int]]
    #: Positions in the batch of events that were in the ledger already.
    duplicates: list[int]
    #: Positions of the reports whose digest another report had before. Their events were not recorded.
    repeated_reports: tuple[int, ...] = ()


class Route(NamedTuple):
    """The facts that enrichment needs about a feedback loop that gets events (state active or paused)."""

    loop_no: int
    loop_id: str
    account_no: int
    event_filter: EventFilter


class RoutingTable(NamedTuple):
    """All routes at one version, which grows with every change of any route."""

    version: int
    routes: list[Route]


class MessageFacts(NamedTuple):
    """The facts that enrichment needs about a message."""

    key: int
    account_no: int
    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    database: str | None
    profile: str | None
    #: Whether its recipient was erased: nothing more is recorded about it.
    is_erased: bool = False


class ProfileFacts(NamedTuple):
    """Current data of a profile. `fields` and `interests` are JSON values."""

    database: str
    id: str
    fields: dict[str, object]
    interests: list[str]
