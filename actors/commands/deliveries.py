"""Deliveries with their attempts, and replays."""

from __future__ import annotations

from typing import Self

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.compatibility import WireStruct
from domain.delivery import ReplayProgress


class AttemptView(WireStruct, frozen=True, kw_only=True):
    no: int
    at_ms: int
    duration_ms: int
    status: int | None
    error: str | None
    response_excerpt: str
    address: str | None
    response_bytes: int = 0
    #: `Name: value`, a line each; the last may be cut.
    response_headers: str = ""


class DeliveryView(WireStruct, frozen=True, kw_only=True):
    id: str
    event: str
    type: str
    #: `pending`, `delivered` or `dead`.
    state: str
    created_at_ms: int
    #: None when no attempt is to come.
    next_attempt_at_ms: int | None
    attempts: list[AttemptView]


class DeliveryPage(WireStruct, frozen=True, kw_only=True):
    data: list[DeliveryView]
    next: str | None


class EventDelivery(WireStruct, frozen=True, kw_only=True):
    """A delivery of one event, and to which loop."""

    loop_id: str
    delivery: DeliveryView


class Post(WireStruct, frozen=True, kw_only=True):
    """A POST to a handler, made again from the ledger as it was made for one attempt."""

    url: str
    headers: list[tuple[str, str]]
    body: str


class Replay(WireStruct, frozen=True, kw_only=True):
    """A replay and its progress: `domain.delivery.ReplayProgress` for the API. `id` is `rpl_<number>`."""

    id: str
    state: str
    which: str
    since_ms: int
    until_ms: int
    count: int
    done: int
    created_at_ms: int

    @classmethod
    def of(cls, progress: ReplayProgress) -> Self:
        """The replay with its progress."""
        return cls(
            id=f"rpl_{progress.id}",
            state=progress.state,
            which=progress.which,
            since_ms=progress.since_ms,
            until_ms=progress.until_ms,
            count=progress.count,
            done=progress.done,
            created_at_ms=progress.created_at_ms,
        )


class ReplayPage(WireStruct, frozen=True, kw_only=True):
    data: list[Replay]
    next: str | None


class ListDeliveries(Command[DeliveryPage], frozen=True, kw_only=True):
    account: Account
    loop_id: str
    state: str | None = None
    type: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 50
    cursor: str | None = None


class GetDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    account: Account
    delivery_id: str


class GetLoopDelivery(Command[EventDelivery], frozen=True, kw_only=True):
    """A delivery, and which loop it is for."""

    account: Account
    delivery_id: str


class ListEventDeliveries(Command[list[EventDelivery]], frozen=True, kw_only=True):
    """The deliveries of one event that are kept, at most 200, with the loops they are for."""

    account: Account
    event_id: str


class GetPost(Command[Post], frozen=True, kw_only=True):
    """What one attempt POSTed: the loop as it was set then, the event's fields, and the headers of that second."""

    account: Account
    delivery_id: str
    attempt_no: int


class RetryDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    """Makes a delivery due now, whatever its state; its retry schedule begins anew. Conflict while an attempt is on."""

    account: Account
    delivery_id: str


class StartReplay(Command[Replay], frozen=True, kw_only=True):
    """Has deliveries created from `since_ms` up to (not including) `until_ms` (None: now) delivered again.

    `which`: `dead`, or `all` (delivered ones too; what is pending is left alone). It goes on in the background, through
    restarts, and gives way to live traffic. One replay at a time for a loop: a second is a Conflict.
    """

    account: Account
    loop_id: str
    since_ms: int
    until_ms: int | None = None
    which: str = "dead"


class ListReplays(Command[ReplayPage], frozen=True, kw_only=True):
    """Newest first."""

    account: Account
    loop_id: str
    limit: int = 50
    cursor: str | None = None


class GetReplay(Command[Replay], frozen=True, kw_only=True):
    account: Account
    loop_id: str
    replay_id: str


class CancelReplay(Command[Replay], frozen=True, kw_only=True):
    """What was given back to the lane already is still delivered. Cancelling what has ended changes nothing."""

    account: Account
    loop_id: str
    replay_id: str
