"""Commands about deliveries, their attempts, and replays."""

from __future__ import annotations

from typing import Self

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.commands.loops import LoopCommand
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
    #: Lines of `Name: value`; the last may be truncated.
    response_headers: str = ""


class DeliveryView(WireStruct, frozen=True, kw_only=True):
    id: str
    event: str
    type: str
    #: `pending`, `delivered` or `dead`.
    state: str
    created_at_ms: int
    #: Never in the past; None if no attempt is planned: it has ended, or the loop is not active.
    next_attempt_at_ms: int | None
    attempts: list[AttemptView]


class EventDelivery(WireStruct, frozen=True, kw_only=True):
    """A delivery of an event, and its loop."""

    loop_id: str
    delivery: DeliveryView


class Post(WireStruct, frozen=True, kw_only=True):
    """The POST of one attempt, rebuilt from the ledger."""

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
    is_estimate: bool = False

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
            is_estimate=progress.is_estimate,
        )


class ListDeliveries(LoopCommand[Page[DeliveryView]], frozen=True, kw_only=True):
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
    """Finds a delivery and its loop."""

    account: Account
    delivery_id: str


class ListEventDeliveries(Command[list[EventDelivery]], frozen=True, kw_only=True):
    """Lists the deliveries of an event with their loops, at most 200."""

    account: Account
    event_id: str


class DeliveryCount(WireStruct, frozen=True, kw_only=True):
    """The number of an event's deliveries in a state."""

    event: str
    state: str
    count: int


class CountDeliveries(Command[list[DeliveryCount]], frozen=True, kw_only=True):
    """Counts the deliveries of events by state, without zeros. Events of other accounts count as unknown."""

    account: Account
    event_ids: list[str]


class GetPost(Command[Post], frozen=True, kw_only=True):
    """Rebuilds the POST of an attempt: with the loop's settings, the event's fields and the headers of that moment."""

    account: Account
    delivery_id: str
    attempt_no: int


class RetryDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    """Makes a delivery due now, whatever its state, and restarts its retry schedule. Conflict during an attempt."""

    account: Account
    delivery_id: str


class StartReplay(LoopCommand[Replay], frozen=True, kw_only=True):
    """Repeats the deliveries created from `since_ms` until before `until_ms` (None: now).

    `which` is `dead`, or `all` for delivered ones too; pending ones are not affected. `missed` makes deliveries of the
    events that were recorded while the loop was disabled, and of which it has none. The replay runs in the
    background, survives restarts and yields to live traffic. A loop has one replay at a time: a second is a Conflict.
    """

    since_ms: int
    until_ms: int | None = None
    which: str = "dead"


class ListReplays(LoopCommand[Page[Replay]], frozen=True, kw_only=True):
    """Lists replays, newest first."""

    limit: int = 50
    cursor: str | None = None


class GetReplay(LoopCommand[Replay], frozen=True, kw_only=True):
    replay_id: str


class CancelReplay(LoopCommand[Replay], frozen=True, kw_only=True):
    """Ends a replay. Deliveries that it made due already are still sent. A finished replay does not change."""

    replay_id: str
