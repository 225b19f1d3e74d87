"""API models of feedback loops."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field, create_model
from typing_extensions import TypeAliasType

from api.schemas.base import ABSENT, AnswerModel, Next, OneOf, QueryModel, RequestModel, Time, Trigger, rule
from api.schemas.loop_settings import ANSWER_FIELDS, CHANGE_FIELDS, NEW_LOOP_FIELDS
from domain import values
from domain.delivery import MAX_WAITING
from domain.errors import InvalidInput
from domain.values import MAX_URL_CHARS, HandlerUrl


def _url_problem(text: str) -> str | None:
    try:
        HandlerUrl(text)
    except InvalidInput as exc:
        return exc.problems[0][1]
    return None


Url = Annotated[
    str,
    rule(_url_problem),
    Field(
        max_length=MAX_URL_CHARS,
        description="Your script's URL, http or https. A changed URL has to be verified again.",
        examples=["https://example.com/dir/script.php"],
        json_schema_extra={"format": "uri"},
    ),
]


class SentLoop(RequestModel):
    """A loop in a request: `NewLoop` and `LoopChange` add its settings."""

    url: Url


NewLoop: Final[type[SentLoop]] = create_model(
    "NewLoop", __base__=SentLoop, __doc__="A feedback loop to set up.", **NEW_LOOP_FIELDS
)
LoopChange: Final[type[SentLoop]] = create_model(
    "LoopChange",
    __base__=SentLoop,
    __doc__="Changes to a feedback loop; everything that is left out stays as it is.",
    url=(Url, ABSENT),
    **CHANGE_FIELDS,
)


class RotationQuery(QueryModel):
    """How a secret is rotated."""

    revoke: bool = Field(default=False, description="Whether all former secrets stop signing at once.")


class Sample(RequestModel):
    """A sample event to send now."""

    type: Trigger = Field(description="The sample's trigger.", examples=["open"])
    data: dict[str, Any] = Field(
        default={},
        description="Fields that replace those of the sample.",
        examples=[{"recipient": "j@example.com"}],
    )


class DnsProof(AnswerModel):
    """The DNS record that proves ownership like the file."""

    name: str
    type: Literal["TXT"]
    value: str


class Verification(AnswerModel):
    """Ways to prove that the URL's server is yours: the file at one of the locations, or the DNS record."""

    file_name: str
    file_content: str
    locations: list[str] = Field(description="URLs where we look for the file, in this order.")
    dns: DnsProof | None = Field(description="Null if the URL has an IP address.")


class LoopHealth(AnswerModel):
    """Health of the handler."""

    breaker: Literal["closed", "open"] = Field(
        description="`open`: after many failures, one delivery is tried from time to time, and the others wait."
    )
    failing_since: Time | None = Field(description="When the current series of failures started.")
    last_success_at: Time | None
    last_failure_at: Time | None
    last_error: str | None = Field(
        description="The last failure: the status with its reason, or the network error. Null if there was none.",
        examples=["503 Service Unavailable", "connect: connection refused"],
    )
    failures: int = Field(description="Failed attempts in that series.")
    waiting: int = Field(description=f"Deliveries that wait for an attempt, counted up to {MAX_WAITING:,}.")
    next_attempt_at: Time | None = Field(
        description="When the next attempt begins: never in the past. Null if none is planned, as in a paused loop."
    )
    next_probe_at: Time | None = Field(description="When the open breaker tries the next delivery.")


_STATE: Final = (
    "Only an `active` loop gets POSTs. The events of a `paused` loop wait, and so do those of a loop whose `url` was "
    "changed, until it is verified. A `disabled` loop keeps its backlog and gets no new events until it is resumed."
)
LoopState = TypeAliasType(
    "LoopState", Annotated[str, OneOf(tuple(state.value for state in values.LoopState)), Field(description=_STATE)]
)
FeedbackLoop: Final[type[AnswerModel]] = create_model(
    "FeedbackLoop",
    __base__=AnswerModel,
    __doc__="A handler's subscription to events.",
    **{
        "id": (Annotated[str, Field(examples=["fl_0190f0c0a0b07c0d8e0f102030405060"])], ...),
        "url": (str, ...),
        "triggers": ANSWER_FIELDS["triggers"],
        "state": (LoopState, ...),
        "disabled_reason": (
            Annotated[str | None, Field(description="Why the service stopped sending to the handler.")],
            ...,
        ),
    }
    | ANSWER_FIELDS
    | {
        "created_at": (Time, ...),
        "verified_at": (Time | None, ...),
        "health": (LoopHealth, ...),
        "verification": (Verification, ...),
        "secret": (
            Annotated[
                str,
                Field(description="Signing secret (Standard Webhooks); only after the loop's creation or a rotation."),
            ],
            ABSENT,
        ),
    },
)


FeedbackLoopList: Final[type[AnswerModel]] = create_model(
    "FeedbackLoopList",
    __base__=AnswerModel,
    __doc__="Feedback loops, oldest first.",
    **cast(dict[str, Any], {"data": (GenericAlias(list, FeedbackLoop), ...), "next": (Next, ...)}),
)


class LoopSecret(AnswerModel):
    """The loop's current signing secret."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class SampleResult(AnswerModel):
    """The handler's response to a sample event."""

    status: int | None = Field(description="HTTP status; null without a response.")
    duration_ms: int
    response_excerpt: str
    error: str | None = Field(description="What went wrong; null if the handler accepted the event.")


class LoopCheck(SampleResult):
    """The response of one loop's handler to a sample event."""

    feedback_loop: str = Field(description="The loop's id.")


class LoopCheckList(AnswerModel):
    """One entry for every active loop."""

    data: list[LoopCheck]
    next: Next
