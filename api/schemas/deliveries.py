"""API models of deliveries, attempts and replays."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType

from api.schemas.base import ABSENT, AnswerModel, GivenTime, Next, PageQuery, RequestModel, Time, Trigger
from domain.delivery import EVENT_TOO_LARGE

ReplaySelection = TypeAliasType("ReplaySelection", Literal["dead", "missed", "all"])
ReplayState = TypeAliasType("ReplayState", Literal["running", "done", "cancelled"])
DeliveryState = TypeAliasType("DeliveryState", Literal["pending", "delivered", "dead", "erased"])

ERROR_WORDS: Final = (
    "timeout",
    "dns",
    "address",
    "connect",
    "tls",
    "disconnect",
    "protocol",
    "too_large",
    "redirect",
    "status",
    "internal",
    EVENT_TOO_LARGE,
)
#: Documented but not checked, because older versions may have recorded other codes.
AttemptError = TypeAliasType("AttemptError", Annotated[str, WithJsonSchema({"type": "string", "enum": [*ERROR_WORDS]})])


class DeliveryQuery(PageQuery):
    """Filters of deliveries."""

    state: DeliveryState | None = Field(default=None, description="Only deliveries in this state.")
    type: Trigger | None = Field(default=None, description="Only deliveries of events of this type.")
    since: GivenTime = Field(default=None, description="Only deliveries created at this time or later.")
    until: GivenTime = Field(default=None, description="Only deliveries created before this time.")


class ResponseHeader(AnswerModel):
    """One header of a response, as received."""

    name: str
    value: str


class Attempt(AnswerModel):
    """One POST of a delivery."""

    number: int = Field(description="Counted from 1.")
    time: Time
    status: int | None = Field(description="HTTP status; null without a response.")
    duration_ms: int
    error: AttemptError | None = Field(description="What went wrong; null if the attempt succeeded.")
    response_headers: list[ResponseHeader] = Field(
        description="Headers of the response, in their order, at most the first 2 KiB. Empty if none were stored."
    )
    response_excerpt: str = Field(
        description="The first KiB of the response's body. Without a status: the first 256 bytes that were received, "
        "with `\\xNN` for each byte that is not text."
    )
    response_bytes: int = Field(description="Number of bytes read of the response's body.")
    address: str | None = Field(description="IP address of the connection.")


class Delivery(AnswerModel):
    """An event to deliver to the loop."""

    id: str
    event: str = Field(description="The event's id.")
    type: Trigger
    state: DeliveryState
    created_at: Time
    next_attempt_at: Time | None = Field(
        description="Never in the past. Null if none is planned: the delivery has ended, or the loop is not active."
    )
    attempts: list[Attempt]


class DeliveryList(AnswerModel):
    """Deliveries, newest first."""

    data: list[Delivery]
    next: Next


class NewReplay(RequestModel):
    """Deliveries to replay."""

    since: GivenTime = Field(description="Deliveries created at this time or later.")
    until: GivenTime = Field(default=ABSENT, description="Deliveries created before this time; default: now.")
    state: ReplaySelection = Field(
        default="dead",
        description="`dead` deliveries, or `all`: delivered ones too. Pending ones are not affected. `missed`: events "
        "that were recorded while the loop was disabled, by the time of their arrival, with the triggers and filters "
        "of now; each once, even if it is requested again.",
    )


class Replay(AnswerModel):
    """A replay of deliveries, with its progress."""

    id: str = Field(examples=["rpl_12"])
    state: ReplayState
    which: ReplaySelection = Field(description="The state of the deliveries that are replayed, or `missed` events.")
    since: Time
    until: Time
    count: int = Field(description="Deliveries to replay, counted at the start.")
    count_is_estimate: bool = Field(
        description="Whether `count` is an estimate, as for more than 100,000 missed events."
    )
    done: int = Field(description="Deliveries queued so far; each is `pending` then, and attempted soon.")
    created_at: Time


class ReplayList(AnswerModel):
    """Replays, newest first."""

    data: list[Replay]
    next: Next
