"""Intake from the edge, and the events that the ledger records of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from domain.loop_settings import EventFilter


class TrackingHit(NamedTuple):
    """The raw HTTP request a mail client or browser made, after its token was found genuine.

    A tuple, because the journal and the wire keep it as an array.
    """

    #: UUIDv7, 16 bytes: the id of the event that this hit becomes (I3).
    event_id: bytes
    #: `open`, `click` or `unsubscribe`.
    kind: str
    account_no: int
    message_key: int
    #: Unix time, milliseconds.
    time_ms: int
    #: The URL behind the link; empty but for a click.
    target: str
    ip: str
    useragent: str
    referer: str
    #: What the client said of its purpose (`Sec-Purpose`, `Purpose`, `X-Moz`, `X-Purpose`), lower case.
    purpose: str


#: What the edge journals and the enrichers turn into events: a tagged union (`actors.commands.intake`).
Intake: TypeAlias = TrackingHit


class EventToRecord(NamedTuple):
    """An enriched event and the loops that are owed it, as the ledger takes it."""

    event_id: bytes
    account_no: int
    #: A trigger's name.
    type: str
    #: 0 where no message is concerned.
    message_key: int
    #: Claims to be the first of its kind (`domain.enrichment.first_key`), or None.
    first_key: int | None
    time_ms: int
    #: The POST's fields, one JSON object (UTF-8), as they are delivered and stored.
    fields: bytes
    #: `Route.loop_no` of each loop that is owed the event.
    loop_nos: list[int]


class RecordedEvents(NamedTuple):
    """What the ledger did with a batch of `EventToRecord`."""

    #: For each event of the batch, the ids of its new deliveries in the order of `loop_nos`; empty for a duplicate.
    delivery_ids: list[list[int]]
    #: Positions in the batch of the events that were in the ledger already.
    duplicates: list[int]


class Route(NamedTuple):
    """What enrichment must know of a feedback loop that is owed events (state active or paused)."""

    loop_no: int
    loop_id: str
    account_no: int
    event_filter: EventFilter


class RoutingTable(NamedTuple):
    """All routes at one version. The version grows with every change of any route."""

    version: int
    routes: list[Route]


class MessageFacts(NamedTuple):
    """What enrichment must know of a message."""

    key: int
    account_no: int
    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    database: str | None
    profile: str | None


class ProfileFacts(NamedTuple):
    """A profile's data as it is now. `fields` and `interests` are JSON values."""

    database: str
    id: str
    fields: dict[str, object]
    interests: list[str]
