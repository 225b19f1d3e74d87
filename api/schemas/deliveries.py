"""Deliveries and their attempts on the wire."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema

from api.schemas.base import ABSENT, AnswerModel, GivenTime, Next, PageQuery, RequestModel, Time, TriggerName
from domain.delivery import EVENT_TOO_LARGE

DeliveryStateName = Literal["pending", "delivered", "dead"]

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
#: Told and not checked: an attempt that an older version recorded can be read whatever its word.
ErrorWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [*ERROR_WORDS]})]


class DeliveryQuery(PageQuery):
    """Which deliveries are wanted."""

    state: DeliveryStateName | None = Field(default=None, description="Only deliveries in this state.")
    type: TriggerName | None = Field(default=None, description="Only deliveries of events of this type.")
    since: GivenTime = Field(default=None, description="Only deliveries made at this time or later.")
    until: GivenTime = Field(default=None, description="Only deliveries made before this time.")


class ResponseHeader(AnswerModel):
    """One header of an answer, as it came."""

    name: str
    value: str


class Attempt(AnswerModel):
    """One POST of a delivery."""

    number: int = Field(description="From 1.")
    time: Time
    status: int | None = Field(description="HTTP status; null when there was no answer.")
    duration_ms: int
    error: ErrorWord | None = Field(description="What went wrong; null when all went well.")
    response_headers: list[ResponseHeader] = Field(
        description="Of the answer, in their order; of longer ones the first 2 KiB. Empty where none were kept."
    )
    response_excerpt: str = Field(
        description="The first KiB of the answer's body. Without a status: the first 256 bytes of what came all the "
        "same, with `\\xNN` for each byte that is no text."
    )
    response_bytes: int = Field(description="Bytes of the answer's body that were read.")
    address: str | None = Field(description="The IP address connected to.")


class Delivery(AnswerModel):
    """One event owed to the loop."""

    id: str
    event: str = Field(description="The event's id.")
    type: TriggerName
    state: DeliveryStateName
    created_at: Time
    next_attempt_at: Time | None = Field(description="Null when no attempt is to come.")
    attempts: list[Attempt]


class DeliveryList(AnswerModel):
    """Deliveries, newest first."""

    data: list[Delivery]
    next: Next


class NewReplay(RequestModel):
    """What to deliver again."""

    since: GivenTime = Field(description="Deliveries made at this time or later.")
    until: GivenTime = Field(default=ABSENT, description="Deliveries made before this time; now, when it is left out.")
    state: Literal["dead", "all"] = Field(
        default="dead", description="`dead` ones, or `all`: delivered ones too. What is pending is left alone."
    )


class Replay(AnswerModel):
    """Deliveries being delivered again, and how far that has come."""

    id: str = Field(examples=["rpl_12"])
    state: Literal["running", "done", "cancelled"]
    which: Literal["dead", "all"] = Field(description="The state of the deliveries that are replayed.")
    since: Time
    until: Time
    count: int = Field(description="Deliveries to replay, counted at the start.")
    done: int = Field(
        description="Deliveries given back to the loop so far; each is then `pending` and soon attempted."
    )
    created_at: Time


class ReplayList(AnswerModel):
    """Replays, newest first."""

    data: list[Replay]
    next: Next
