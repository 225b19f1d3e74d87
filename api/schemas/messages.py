"""API models of messages, profiles and events."""

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
from domain.message import MAX_LINKS, MAX_TAGS, link_problem
from domain.profile import MAX_INTERESTS
from domain.validation import MAX_NAME_CHARS, MAX_TAG_CHARS
from domain.values import email_problem

MAX_HTML_CHARS: Final = 2_000_000

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]


class ProfileRef(RequestModel):
    """The recipient's profile, whose data every event of the message contains."""

    database: Name
    id: Name


class NewMessage(RequestModel):
    """A message to track: one e-mail to one recipient."""

    recipient: Annotated[str, rule(email_problem)] = Field(
        description="The recipient's e-mail address.",
        examples=["john@example.com"],
        json_schema_extra={"format": "email"},
    )
    id: Name = Field(
        default=ABSENT,
        description="Your id of the message, printable characters; generated if it is left out. "
        "Registering the same message again returns the same answer.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)]] = Field(
        default=[], max_length=MAX_TAGS, examples=[["spring", "newsletter"]]
    )
    mailing: Name = Field(default=ABSENT, description="Your id of the mailing that the message belongs to.")
    profile: ProfileRef = ABSENT
    links: list[Annotated[str, rule(link_problem)]] = Field(
        default=[],
        max_length=MAX_LINKS,
        description="http and https URLs to track.",
        examples=[["https://shop.example/"]],
    )
    html: str = Field(
        default=ABSENT,
        max_length=MAX_HTML_CHARS,
        description="The mail's HTML. The response contains it with tracked links and the pixel before `</body>`.",
    )


class TrackedMessage(AnswerModel):
    """Tracking URLs of a registered message."""

    id: str
    open_url: str = Field(description="URL of the pixel for the mail.")
    unsubscribe_url: str = Field(description="For the `List-Unsubscribe` header (RFC 8058).")
    links: dict[str, str] = Field(description="The tracked URL for each original URL.")
    html: str = Field(default=ABSENT, description="The rewritten HTML, if the request had HTML.")


class ProfileName(AnswerModel):
    """The name of a profile."""

    database: str
    id: str


class Event(AnswerModel):
    """A recorded event."""

    id: str
    type: TriggerName
    time: Time
    fields: dict[str, Any] = Field(description="The fields that handlers receive.")


class EventList(AnswerModel):
    """Events, newest first."""

    data: list[Event]
    next: Next


class Message(AnswerModel):
    """A message and its events."""

    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    profile: ProfileName | None
    open_url: str
    unsubscribe_url: str
    links: dict[str, str] = Field(description="The tracked URL for each original URL.")
    created_at: Time
    history: list[Event]


class StreamQuery(QueryModel):
    """Filters of events."""

    type: TriggerName | None = Field(default=None, description="Only events of this type.")
    message: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)] | None = Field(
        default=None, description="Only events of the message with this id."
    )
    recipient: Annotated[str, Field(min_length=1, max_length=400)] | None = Field(
        default=None, description="Only events of messages to this address."
    )


class EventQuery(StreamQuery, PageQuery):
    """Filters of events."""

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
    """The account's data about a person."""

    database: str
    id: str
    fields: dict[str, Any]
    interests: list[str]
    created_at: Time
    modified_at: Time
