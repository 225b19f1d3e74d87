"""Messages, profiles and events on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from api.schemas.base import (
    ABSENT,
    AnswerModel,
    GivenTime,
    Next,
    PageQuery,
    QueryModel,
    RequestModel,
    Time,
    TriggerName,
    rule,
)
from domain.errors import InvalidInput
from domain.message import MAX_LINKS, MAX_TAGS, link_problem
from domain.profile import MAX_INTERESTS
from domain.validation import MAX_NAME_CHARS, MAX_TAG_CHARS
from domain.values import EmailAddress

MAX_HTML_CHARS: Final = 2_000_000

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]


def _recipient_problem(text: str) -> str | None:
    try:
        EmailAddress(text)
    except InvalidInput as exc:
        return exc.problems[0][1]
    return None


class ProfileRef(RequestModel):
    """The profile of the recipient, whose data goes with every event of the message."""

    database: Name
    id: Name


class NewMessage(RequestModel):
    """A message to track: one e-mail to one recipient."""

    recipient: Annotated[str, rule(_recipient_problem)] = Field(
        description="Its e-mail address.", examples=["john@example.com"], json_schema_extra={"format": "email"}
    )
    id: Name = Field(
        default=ABSENT,
        description="Your id of the message, printable characters; one is made when it is left out. "
        "The same message sent again gets the same answer.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)]] = Field(
        default=[], max_length=MAX_TAGS, examples=[["spring", "newsletter"]]
    )
    mailing: Name = Field(default=ABSENT, description="Your id of the mailing that the message belongs to.")
    profile: ProfileRef = ABSENT
    links: list[Annotated[str, rule(link_problem)]] = Field(
        default=[],
        max_length=MAX_LINKS,
        description="http and https URLs for which tracked ones are wanted.",
        examples=[["https://shop.example/"]],
    )
    html: str = Field(
        default=ABSENT,
        max_length=MAX_HTML_CHARS,
        description="The mail's HTML, to get it back with every http(s) link rewritten and the pixel before `</body>`.",
    )


class TrackedMessage(AnswerModel):
    """A registered message's tracking URLs."""

    id: str
    open_url: str = Field(description="Of the pixel to put into the mail.")
    unsubscribe_url: str = Field(description="For the `List-Unsubscribe` header (RFC 8058).")
    links: dict[str, str] = Field(description="For each original URL the tracked one.")
    html: str = Field(default=ABSENT, description="The rewritten HTML, when some was sent.")


class ProfileName(AnswerModel):
    """Where a profile is."""

    database: str
    id: str


class Event(AnswerModel):
    """A recorded event."""

    id: str
    type: TriggerName
    time: Time
    fields: dict[str, Any] = Field(description="The fields that handlers get.")


class EventList(AnswerModel):
    """Events, newest first."""

    data: list[Event]
    next: Next


class Message(AnswerModel):
    """A message and what became of it."""

    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    profile: ProfileName | None
    open_url: str
    unsubscribe_url: str
    links: dict[str, str] = Field(description="For each original URL the tracked one.")
    created_at: Time
    history: list[Event]


class StreamQuery(QueryModel):
    """Which events are wanted."""

    type: TriggerName | None = Field(default=None, description="Only events of this type.")
    message: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)] | None = Field(
        default=None, description="Only events of the message with this id."
    )
    recipient: Annotated[str, Field(min_length=1, max_length=400)] | None = Field(
        default=None, description="Only events of messages to this address."
    )


class EventQuery(StreamQuery, PageQuery):
    """Which events are wanted."""

    since: GivenTime = Field(default=None, description="Only events at this time or later.")
    until: GivenTime = Field(default=None, description="Only events before this time.")


class ProfileData(RequestModel):
    """A profile's data; a PUT replaces all of it."""

    fields: dict[str, Any] = Field(
        description="Scalars, lists and maps, at most 64 KiB as JSON and 256 KiB as a form, with names of 1 to 200 "
        "characters.",
        examples=[{"name": "John"}],
    )
    interests: list[Name] = Field(default=[], max_length=MAX_INTERESTS)


class Profile(AnswerModel):
    """What the account knows of a person."""

    database: str
    id: str
    fields: dict[str, Any]
    interests: list[str]
    created_at: Time
    modified_at: Time
