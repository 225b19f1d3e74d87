"""API models of messages and events."""

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
    Trigger,
    rule,
)
from api.schemas.service import AnsweredLine
from api.tracking.targets import given_link_problem
from domain.event_catalogue.report_fields import MAX_REFERENCE_CHARS
from domain.event_catalogue.report_values import reference_problem
from domain.message import MAX_LINKS, MAX_TAGS
from domain.validation import MAX_ADDRESS_CHARS, MAX_NAME_CHARS, MAX_TAG_CHARS
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
    reference: Annotated[str, rule(lambda text: reference_problem(text, MAX_REFERENCE_CHARS))] = Field(
        default=ABSENT,
        min_length=1,
        max_length=MAX_REFERENCE_CHARS,
        description="The mail's Message-ID or the provider's id, unique in the account: reports can refer to it.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)]] = Field(
        default=[], max_length=MAX_TAGS, examples=[["spring", "newsletter"]]
    )
    mailing: Name = Field(default=ABSENT, description="Your id of the mailing that the message belongs to.")
    profile: ProfileRef = ABSENT
    links: list[Annotated[str, rule(given_link_problem)]] = Field(
        default=[],
        max_length=MAX_LINKS,
        description="http and https URLs to track. White space around them is removed.",
        examples=[["https://shop.example/"]],
    )
    html: str = Field(
        default=ABSENT,
        max_length=MAX_HTML_CHARS,
        description="The mail's HTML. The response contains it with tracked links and the pixel before `</body>`. "
        'A link with `data-feedback-loops="off"` stays. AMP documents get no pixel.',
    )


class UntrackedLink(AnswerModel):
    """A link in the HTML that stays as it was."""

    href: str = Field(description="The link, with its character references decoded.")
    detail: str = Field(description="Why it cannot be tracked.")


class TrackedMessage(AnswerModel):
    """Tracking URLs of a registered message."""

    id: str
    open_url: str = Field(description="URL of the pixel for the mail.")
    unsubscribe_url: str = Field(description="For the `List-Unsubscribe` header (RFC 8058).")
    return_path: str = Field(
        default=ABSENT,
        description="The envelope sender for the mail, if the service has a return domain: returned mail is matched by "
        "it.",
    )
    links: dict[str, str] = Field(description="The tracked URL for each original URL.")
    html: str = Field(default=ABSENT, description="The rewritten HTML, if the request had HTML.")
    untracked: list[UntrackedLink] = Field(
        default=ABSENT, description="Links in the HTML that lead nowhere or cannot be tracked, at most 1,000; if any."
    )


class RegisteredLine(AnsweredLine):
    """The answer to one line: tracking URLs, or a problem, or only the number if the line is blank."""

    open_url: str = Field(default=ABSENT, description="As in TrackedMessage, like the other members of a message.")
    unsubscribe_url: str = ABSENT
    return_path: str = ABSENT
    links: dict[str, str] = ABSENT
    html: str = ABSENT
    untracked: list[UntrackedLink] = ABSENT


class ProfileName(AnswerModel):
    """The name of a profile."""

    database: str
    id: str


class Event(AnswerModel):
    """A recorded event."""

    id: str = Field(description="The event's id; `event` in its fields.")
    type: Trigger
    time: Time
    fields: dict[str, Any] = Field(description="What handlers receive: `id` is the message's id here.")
    erased: bool = Field(
        default=ABSENT, description="True if the person was erased: `fields` has only what does not reveal them."
    )


class EventList(AnswerModel):
    """Events, newest first."""

    data: list[Event]
    next: Next


class Message(AnswerModel):
    """A message and its events."""

    id: str
    recipient: str | None = Field(description="Null if the person was erased.")
    tags: list[str]
    mailing: str | None
    reference: str | None
    profile: ProfileName | None
    open_url: str
    unsubscribe_url: str
    return_path: str = Field(default=ABSENT, description="As in TrackedMessage.")
    links: dict[str, str] = Field(description="The tracked URL for each original URL.")
    created_at: Time
    erased_at: Time = Field(default=ABSENT, description="When its recipient was erased.")
    history: list[Event] = Field(default=ABSENT, description="Its events, oldest first; not in the list.")


class MessageList(AnswerModel):
    """Messages, newest first."""

    data: list[Message]
    next: Next


class MessageQuery(PageQuery):
    """Filters of messages; all of them must match."""

    recipient: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_CHARS)] | None = Field(
        default=None, description="Only messages to this address."
    )
    tag: Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)] | None = Field(
        default=None, description="Only messages with this tag."
    )
    mailing: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)] | None = Field(
        default=None, description="Only messages of this mailing."
    )


class StreamQuery(QueryModel):
    """Filters of events."""

    type: Trigger | None = Field(default=None, description="Only events of this type.")
    message: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)] | None = Field(
        default=None, description="Only events of the message with this id."
    )
    recipient: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_CHARS)] | None = Field(
        default=None, description="Only events of messages to this address."
    )


class EventQuery(StreamQuery, PageQuery):
    """Filters of events."""

    since: GivenTime = Field(
        default=None, description="Only events that arrived at this time or later; the time of a report may be older."
    )
    until: GivenTime = Field(default=None, description="Only events that arrived before this time.")
