"""Feedback loops on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, Next, RequestModel, Time, TriggerName, rule
from domain.errors import InvalidInput
from domain.validation import MAX_NAME_CHARS, text_problem
from domain.values import MAX_URL_CHARS, HandlerUrl

MAX_FILTER_ITEMS: Final = 100
MAX_CONCURRENCY: Final = 1000
MAX_DESCRIPTION_CHARS: Final = 2000
#: What this version can sign with, beside Standard Webhooks' own signature that every POST has.
SUPPORTED_SIGNATURES: Final = ("none",)


def _url_problem(text: str) -> str | None:
    try:
        HandlerUrl(text)
    except InvalidInput as exc:
        return exc.problems[0][1]
    return None


def _repeat_problem(items: list[str]) -> str | None:
    repeated = sorted({item for item in items if items.count(item) > 1})
    return f"must not hold an item twice: {', '.join(repeated)}" if repeated else None


def _supported_signature(value: Any) -> Any:
    if value not in SUPPORTED_SIGNATURES:
        problem = (
            "must be none: this version supports no other value yet (cavage and rfc9421 are to come); "
            "every POST carries Standard Webhooks' signature anyway"
        )
        raise PydanticCustomError("rule", "{problem}", {"problem": problem})
    return value


Url = Annotated[
    str,
    rule(_url_problem),
    Field(
        max_length=MAX_URL_CHARS,
        description="Where events are POSTed: http or https. A changed one must be verified anew.",
        examples=["https://example.com/dir/script.php"],
        json_schema_extra={"format": "uri"},
    ),
]
Triggers = Annotated[
    list[TriggerName],
    rule(_repeat_problem),
    Field(
        min_length=1,
        description="The types of events that are wanted.",
        examples=[["open", "click"]],
        json_schema_extra={"uniqueItems": True},
    ),
]
Format = Annotated[
    Literal["form", "json"],
    Field(description="How a POST's body is written: `form` is application/x-www-form-urlencoded."),
]
RateLimit = Annotated[
    float | None, Field(gt=0, allow_inf_nan=False, description="POSTs a second at most; null for no limit.")
]
Concurrency = Annotated[int, Field(ge=1, le=MAX_CONCURRENCY, description="POSTs at the same time at most.")]
Ordered = Annotated[bool, Field(description="Whether events go out one after the other, in their order.")]
Signature = Annotated[
    Literal["none"],
    BeforeValidator(_supported_signature),
    Field(description="A further signature beside Standard Webhooks' own. This version supports `none` alone."),
]
Description = Annotated[
    str,
    rule(lambda text: text_problem(text, MAX_DESCRIPTION_CHARS, min_chars=0, lines=True)),
    Field(max_length=MAX_DESCRIPTION_CHARS, description="For people; not interpreted."),
]
FilterItem = Annotated[
    str,
    rule(text_problem),
    Field(min_length=1, max_length=MAX_NAME_CHARS, json_schema_extra={"pattern": NAME_PATTERN}),
]
FilterItems = Annotated[list[FilterItem], Field(max_length=MAX_FILTER_ITEMS)]


class LoopFilters(RequestModel):
    """Which events pass. An empty list lets all through; what is left out of a PATCH stays as it is."""

    tags: FilterItems = Field(default=[], description="Events of messages with at least one of these tags.")
    databases: FilterItems = Field(
        default=[], description="Events of messages with a profile in one of these databases."
    )
    collections: FilterItems = Field(default=[], description="Events of subprofiles in one of these collections.")


class NewLoop(RequestModel):
    """A feedback loop to set up."""

    url: Url
    triggers: Triggers
    format: Format = "form"
    filters: LoopFilters = LoopFilters()
    rate_limit: RateLimit = None
    max_concurrency: Concurrency = 16
    ordered: Ordered = False
    signature: Signature = "none"
    description: Description = ""


class LoopChange(RequestModel):
    """What is to change of a feedback loop; what is left out stays as it is."""

    url: Url = ABSENT
    triggers: Triggers = ABSENT
    format: Format = ABSENT
    filters: LoopFilters = ABSENT
    rate_limit: RateLimit = ABSENT
    max_concurrency: Concurrency = ABSENT
    ordered: Ordered = ABSENT
    signature: Signature = ABSENT
    description: Description = ABSENT


def sent_settings(body: NewLoop | LoopChange) -> dict[str, Any]:
    """The settings that a request names, as `domain.loop_settings` names them; without the URL."""
    sent: dict[str, Any] = body.model_dump(exclude_unset=True)
    sent.pop("url", None)
    filters: dict[str, Any] = sent.pop("filters", {})
    return sent | filters


class Sample(RequestModel):
    """A sample event to send now."""

    type: TriggerName = Field(description="The sample's trigger.", examples=["open"])
    data: dict[str, Any] = Field(
        default={},
        description="Fields that take the place of the sample's own.",
        examples=[{"recipient": "j@example.com"}],
    )


class Filters(AnswerModel):
    """Which events pass; an empty list lets all through."""

    tags: list[str]
    databases: list[str]
    collections: list[str]


class DnsProof(AnswerModel):
    """The DNS record that proves the same as the file."""

    name: str
    type: Literal["TXT"]
    value: str


class Verification(AnswerModel):
    """How to prove that the URL's server is yours: place the file at one location, or the DNS record."""

    file_name: str
    file_content: str
    locations: list[str] = Field(description="Where the file is looked for, in this order.")
    dns: DnsProof | None = Field(description="Null when the URL has an address in place of a name.")


class LoopHealth(AnswerModel):
    """How the handler does."""

    breaker: Literal["closed", "open"] = Field(
        description="`open`: after a run of failures one delivery is tried now and then, and the others wait."
    )
    failing_since: Time | None = Field(description="When the run of failures alone began that still goes on.")
    last_success_at: Time | None
    last_failure_at: Time | None
    failures: int = Field(description="Failed attempts in that run.")
    next_probe_at: Time | None = Field(description="When an open breaker lets the next delivery through.")


class FeedbackLoop(AnswerModel):
    """A subscription of a handler to events."""

    id: str = Field(examples=["fl_0190f0c0a0b07c0d8e0f102030405060"])
    url: str
    triggers: list[TriggerName]
    state: Literal["unverified", "active", "paused", "disabled"] = Field(
        description="Only an `active` loop's handler is POSTed to. A `paused` one's events wait, and so do those of "
        "one whose `url` was changed, until it is verified. A `disabled` one keeps its backlog and is owed nothing "
        "new until it is resumed."
    )
    disabled_reason: str | None = Field(description="Why the service gave up on the handler.")
    format: Format
    filters: Filters
    rate_limit: float | None
    max_concurrency: int
    ordered: bool
    signature: Literal["none", "cavage", "rfc9421"]
    description: str
    created_at: Time
    verified_at: Time | None
    health: LoopHealth
    verification: Verification
    secret: str = Field(
        default=ABSENT,
        description="The signing secret (Standard Webhooks); only when the loop was created or its secret rotated.",
    )


class FeedbackLoopList(AnswerModel):
    """Feedback loops, oldest first."""

    data: list[FeedbackLoop]
    next: Next


class LoopSecret(AnswerModel):
    """The loop's current signing secret."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class SampleResult(AnswerModel):
    """What the handler answered to a sample event."""

    status: int | None = Field(description="HTTP status; null when there was no answer.")
    duration_ms: int
    response_excerpt: str
    error: str | None = Field(description="What went wrong; null when the handler took the event.")


class LoopCheck(SampleResult):
    """What one loop's handler answered to a sample event."""

    feedback_loop: str = Field(description="The loop's id.")


class LoopCheckList(AnswerModel):
    """One entry for every active loop."""

    data: list[LoopCheck]
    next: Next
