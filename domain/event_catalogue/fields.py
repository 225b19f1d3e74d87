"""Fields of an event as handlers receive them, one row each. Source: the contract, section 5."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from domain.event_catalogue.triggers import EVENT_TYPES, Source, Trigger, triggers_of


class FieldType(Enum):
    """The type of a field in a JSON body. In a form everything is text."""

    TEXT = "text"
    NUMBER = "number"
    #: The number 1; the field is left out where it does not apply.
    FLAG = "flag"
    TEXTS = "texts"
    MAP = "map"


_ALL: Final = tuple(EVENT_TYPES)
_HITS: Final = triggers_of(Source.HIT)
_MESSAGES: Final = triggers_of(Source.HIT, Source.REPORT)
_PROFILES: Final = triggers_of(Source.PROFILE)
_MAILS: Final = (Trigger.BOUNCE, Trigger.ABUSE)
_REPLIES: Final = (Trigger.DELIVERY, Trigger.FAILURE)
_CLASSIFIED: Final = (Trigger.FAILURE, Trigger.BOUNCE)
_RECIPIENT: Final = "john.doe@example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventField:
    """One field of a POST's body."""

    name: str
    #: The names of the triggers whose events may have the field.
    triggers: tuple[str, ...] = _ALL
    type: FieldType = FieldType.TEXT
    #: One sentence.
    meaning: str
    #: A value as a JSON body has it.
    example: Any
    #: Whether every POST of these triggers has the field.
    is_always: bool = False
    #: Whether samples have the field.
    in_samples: bool = True


#: In the order in which samples and the documentation have them.
FIELDS: Final[tuple[EventField, ...]] = (
    EventField(name="id", triggers=_MESSAGES, meaning="The message's id.", example="sample-message", is_always=True),
    EventField(
        name="event",
        meaning="The event's id, the same on every attempt: use it to recognise repeats.",
        example="evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1",
        is_always=True,
    ),
    EventField(name="type", meaning="What happened.", example="click", is_always=True),
    EventField(
        name="timestamp",
        meaning="When it happened, as `YYYY-MM-DD HH:MM:SS` in UTC.",
        example="2026-03-01 09:30:00",
        is_always=True,
    ),
    EventField(
        name="time",
        type=FieldType.NUMBER,
        meaning="When it happened, as Unix seconds.",
        example=1772357400,
        is_always=True,
    ),
    EventField(
        name="recipient",
        triggers=_MESSAGES,
        meaning="The e-mail address that the message was sent to.",
        example=_RECIPIENT,
        is_always=True,
    ),
    EventField(
        name="tags",
        triggers=_MESSAGES,
        type=FieldType.TEXTS,
        meaning="The message's tags.",
        example=["sample", "newsletter"],
    ),
    EventField(
        name="mailing", triggers=_MESSAGES, meaning="The message's mailing, if it has one.", example="sample-mailing"
    ),
    EventField(name="ip", triggers=_HITS, meaning="The address that the request came from.", example="203.0.113.7"),
    EventField(
        name="useragent",
        triggers=_HITS,
        meaning="The request's `User-Agent`.",
        example="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    EventField(name="referer", triggers=_HITS, meaning="The request's `Referer`.", example="https://mail.example.com/"),
    EventField(
        name="original",
        triggers=(Trigger.CLICK,),
        meaning="The URL behind the link.",
        example="https://example.com/offer?id=1",
        is_always=True,
    ),
    EventField(
        name="bot",
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
        meaning="`1` if a machine made the request: a mail proxy, a link scanner, a crawler.",
        example=1,
        in_samples=False,
    ),
    EventField(
        name="bot_reason",
        triggers=(Trigger.OPEN, Trigger.CLICK),
        meaning="With `bot`: how we recognised the machine.",
        example="proxy:google",
        in_samples=False,
    ),
    EventField(
        name="first",
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
        meaning="`1` on the first open of the message, and on the first click of each of its links.",
        example=1,
    ),
    EventField(name="database", meaning="The profile's database.", example="1"),
    EventField(name="profile", meaning="The profile's id.", example="123"),
    EventField(
        name="collection",
        triggers=_PROFILES,
        meaning="The subprofile's collection.",
        example="orders",
        in_samples=False,
    ),
    EventField(name="subprofile", triggers=_PROFILES, meaning="The subprofile's id.", example="7", in_samples=False),
    EventField(
        name="created", triggers=_PROFILES, meaning="When the profile was created.", example="2026-01-01 12:00:00"
    ),
    EventField(
        name="modified", triggers=_PROFILES, meaning="When the profile was last changed.", example="2026-01-02 12:00:00"
    ),
    EventField(
        name="parameters",
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.MAP,
        meaning="The fields and interests of the call, in one map.",
        example={"firstname": "John"},
    ),
    EventField(
        name="changed",
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.TEXTS,
        meaning="The names of the fields that changed.",
        example=["firstname"],
        in_samples=False,
    ),
    EventField(
        name="fields",
        type=FieldType.MAP,
        meaning="The profile's data at the time of the event.",
        example={"firstname": "John", "lastname": "Doe", "email": _RECIPIENT},
    ),
    EventField(
        name="interests",
        type=FieldType.TEXTS,
        meaning="The profile's interests at the time of the event.",
        example=["sailing", "music"],
    ),
    EventField(name="action", triggers=(Trigger.FAILURE,), meaning="Always `failed`.", example="failed"),
    EventField(
        name="state",
        triggers=(Trigger.FAILURE,),
        meaning="The SMTP stage that failed, or `bounce` if the failure was reported later.",
        example="rcptto",
    ),
    EventField(name="code", triggers=_REPLIES, meaning="The SMTP code of the receiving server's reply.", example="550"),
    EventField(name="extended", triggers=_REPLIES, meaning="The RFC 3463 status of the reply.", example="5.1.1"),
    EventField(
        name="description",
        triggers=_REPLIES,
        meaning="The text of the reply.",
        example=f"5.1.1 <{_RECIPIENT}>: Recipient address rejected: User unknown",
    ),
    EventField(
        name="category",
        triggers=_CLASSIFIED,
        meaning="Why the message failed or came back, in one word.",
        example="address",
        in_samples=False,
    ),
    EventField(
        name="permanent",
        triggers=_CLASSIFIED,
        type=FieldType.NUMBER,
        meaning="`1` if another attempt would fail too, else `0`.",
        example=1,
        in_samples=False,
    ),
    EventField(
        name="envelope",
        triggers=_MAILS,
        meaning="The envelope address of the returned mail.",
        example="abuse@example.com",
    ),
    EventField(
        name="emailfrom",
        triggers=(Trigger.ABUSE,),
        meaning="The address of the complaint's sender.",
        example="feedback@provider.example",
    ),
    EventField(
        name="mime",
        triggers=_MAILS,
        meaning="The returned mail as text, at most its first 512 KiB.",
        example=f"From: sender@example.com\r\nTo: {_RECIPIENT}\r\nSubject: Sample\r\n"
        "Message-ID: <sample@example.com>\r\n\r\nThis is a sample.\r\n",
    ),
    EventField(
        name="mime_charset",
        triggers=_MAILS,
        meaning="The charset that `mime` was decoded with: UTF-8 or Latin-1.",
        example="utf-8",
        in_samples=False,
    ),
    EventField(
        name="mime_truncated",
        triggers=_MAILS,
        type=FieldType.FLAG,
        meaning="`1` if `mime` is cut.",
        example=1,
        in_samples=False,
    ),
)


def fields_of(trigger: str) -> list[EventField]:
    """The fields that an event of this type may have, in their order."""
    return [field for field in FIELDS if trigger in field.triggers]


def example_of(trigger: str, field: EventField) -> Any:
    """The field's example in an event of this type."""
    return trigger if field.name == "type" else EVENT_TYPES[trigger].examples.get(field.name, field.example)
