"""What a handler gets, in one table: the fields and headers of a POST. Source: the contract, section 5.

The reference page (`docs._generate.events`) and the OpenAPI document's `webhooks` are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_ONE: Final[Schema] = {"const": 1}
_MAP: Final[Schema] = {"type": "object"}

#: The events that this version sends; of the other triggers it sends samples alone.
EVENTS: Final[dict[str, str]] = {
    "open": "The message's pixel was loaded.",
    "click": "A link in the message was followed.",
    "unsubscribe": "The recipient unsubscribed, by the mail program's button (RFC 8058) or on the page.",
}
_HITS: Final = ("open", "click")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventField:
    """One field of a POST's body."""

    name: str
    #: Of the value in a JSON body; in a form everything is text.
    schema: Schema
    #: One sentence, for the table.
    meaning: str
    #: A value as a JSON body has it.
    example: Any
    events: tuple[str, ...] = tuple(EVENTS)
    #: Whether it is in every POST of these events.
    is_always: bool = False


FIELDS: Final[tuple[EventField, ...]] = (
    EventField(name="id", schema=_TEXT, meaning="The message's id.", example="m-1", is_always=True),
    EventField(
        name="event",
        schema=_TEXT,
        meaning="The event's id, the same on every attempt: the key to drop repeats by.",
        example="evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1",
        is_always=True,
    ),
    EventField(name="type", schema=_TEXT, meaning="What happened.", example="click", is_always=True),
    EventField(
        name="timestamp",
        schema=_TEXT,
        meaning="When, as `YYYY-MM-DD HH:MM:SS` in UTC.",
        example="2026-03-01 09:30:00",
        is_always=True,
    ),
    EventField(
        name="time",
        schema={"type": "integer"},
        meaning="The same, as Unix seconds.",
        example=1772357400,
        is_always=True,
    ),
    EventField(
        name="recipient",
        schema=_TEXT,
        meaning="The e-mail address that the message went to.",
        example="john@example.com",
        is_always=True,
    ),
    EventField(name="tags", schema=_TEXTS, meaning="The message's tags.", example=["spring", "newsletter"]),
    EventField(name="mailing", schema=_TEXT, meaning="The message's mailing, if it was given.", example="2026-03"),
    EventField(name="ip", schema=_TEXT, meaning="Where the request came from.", example="203.0.113.7"),
    EventField(
        name="useragent", schema=_TEXT, meaning="The request's `User-Agent`.", example="Mozilla/5.0 (X11; Linux x86_64)"
    ),
    EventField(name="referer", schema=_TEXT, meaning="The request's `Referer`.", example="https://mail.example/inbox"),
    EventField(
        name="original",
        schema=_TEXT,
        meaning="The URL behind the link.",
        example="https://shop.example/spring?size=m",
        events=("click",),
        is_always=True,
    ),
    EventField(
        name="bot",
        schema=_ONE,
        meaning="`1` when a machine made the request: a mail proxy, a link scanner, a crawler.",
        example=1,
        events=_HITS,
    ),
    EventField(
        name="bot_reason",
        schema=_TEXT,
        meaning="Beside `bot`: what tells.",
        example="proxy:google",
        events=_HITS,
    ),
    EventField(
        name="first",
        schema=_ONE,
        meaning="`1` on the first open of the message, and on the first click of each of its links.",
        example=1,
        events=_HITS,
    ),
    EventField(name="database", schema=_TEXT, meaning="Where the message's profile is.", example="1"),
    EventField(name="profile", schema=_TEXT, meaning="The profile's id.", example="123"),
    EventField(
        name="fields",
        schema=_MAP,
        meaning="The profile's data, as it was when the event happened.",
        example={"name": "John", "city": "Amsterdam"},
    ),
    EventField(name="interests", schema=_TEXTS, meaning="The profile's interests.", example=["shoes", "hats"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHeader:
    """One header of a POST."""

    name: str
    meaning: str
    example: str


HEADERS: Final[tuple[EventHeader, ...]] = (
    EventHeader(name="User-Agent", meaning="`feedback-loops/<version>`.", example="feedback-loops/0.1.0"),
    EventHeader(name="X-Feedback-Loop", meaning="The loop's id.", example="fl_0190f0c0a0b07c0d8e0f102030405060"),
    EventHeader(name="X-Account", meaning="The account's id.", example="acc_0190f0c0a0b07c0d8e0f102030405060"),
    EventHeader(
        name="Content-Type",
        meaning="`application/x-www-form-urlencoded`, or `application/json` with `format: json`.",
        example="application/x-www-form-urlencoded",
    ),
    EventHeader(name="Date", meaning="When this attempt began.", example="Sun, 01 Mar 2026 09:30:00 GMT"),
    EventHeader(
        name="webhook-id", meaning="The event's id, as in `event`.", example="evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1"
    ),
    EventHeader(name="webhook-timestamp", meaning="When this attempt began, as Unix seconds.", example="1772357400"),
    EventHeader(
        name="webhook-signature",
        meaning="`v1,` and a signature; several with spaces between while a secret rotates.",
        example="v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)


def fields_of(event: str) -> list[EventField]:
    """The fields that an event of this type may have, in the order they come in."""
    return [field for field in FIELDS if event in field.events]


def model_name(event: str) -> str:
    """The name of the event's model in the OpenAPI document."""
    return f"{event.capitalize()}Event"


def models() -> dict[str, Schema]:
    """A model for each event, by name."""
    return {model_name(event): _model(event) for event in EVENTS}


def _model(event: str) -> Schema:
    fields = fields_of(event)
    properties = {field.name: {**field.schema, "description": field.meaning} for field in fields}
    properties["type"] = {"const": event, "description": "What happened."}
    return {
        "type": "object",
        "description": f"{EVENTS[event]} What is not known is left out.",
        "required": [field.name for field in fields if field.is_always],
        "properties": properties,
        "examples": [{field.name: field.example for field in fields} | {"type": event}],
    }


_ANSWERS: Final[Schema] = {
    "2XX": {"description": "The handler has the event."},
    "410": {
        "description": "The handler wants no more: the loop is disabled, and owed nothing new until it is resumed."
    },
    "429": {"description": "Tried again, not before `Retry-After`; 503 likewise."},
    "default": {"description": "Tried again on the schedule. Redirects are not followed."},
}


def webhooks(reference: str) -> Schema:
    """The OpenAPI document's `webhooks`. `reference` is that of a model, with `{model}` for its name."""
    return {event: {"post": _webhook(event, reference)} for event in EVENTS}


def _webhook(event: str, reference: str) -> Schema:
    content = {"schema": {"$ref": reference.format(model=model_name(event))}}
    return {
        "operationId": f"on{event.capitalize()}",
        "summary": f"A handler gets: {event}",
        "description": f"{EVENTS[event]} In a form lists are written `tags[]=a`, maps `fields[name]=John`, and all "
        "values are text. Delivered at least once; `event` is the key to drop repeats by.",
        "security": [],
        "parameters": [
            {
                "name": header.name,
                "in": "header",
                "description": header.meaning,
                "schema": {"type": "string", "examples": [header.example]},
            }
            for header in HEADERS
            # OpenAPI has a place of its own for the media type, and ignores a parameter of that name.
            if header.name != "Content-Type"
        ],
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": content, "application/json": content},
        },
        "responses": _ANSWERS,
    }
