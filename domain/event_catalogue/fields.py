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


@dataclass(frozen=True, slots=True)
class EventField:
    """One field of a POST's body."""

    name: str
    #: One sentence.
    meaning: str
    #: A value as a JSON body has it.
    example: Any
    #: The names of the triggers whose events may have the field.
    triggers: tuple[str, ...] = _ALL
    type: FieldType = FieldType.TEXT
    #: Whether every POST of these triggers has the field.
    is_always: bool = False
    #: Whether samples have the field.
    in_samples: bool = True


#: In the order in which samples and the documentation have them.
FIELDS: Final[tuple[EventField, ...]] = (
    EventField("id", "The message's id.", "sample-message", triggers=_MESSAGES, is_always=True),
    EventField(
        "event",
        "The event's id, the same on every attempt: use it to recognise repeats.",
        "evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1",
        is_always=True,
    ),
    EventField("type", "What happened.", "click", is_always=True),
    EventField(
        "timestamp", "When it happened, as `YYYY-MM-DD HH:MM:SS` in UTC.", "2026-03-01 09:30:00", is_always=True
    ),
    EventField("time", "When it happened, as Unix seconds.", 1772357400, type=FieldType.NUMBER, is_always=True),
    EventField(
        "recipient", "The e-mail address that the message was sent to.", _RECIPIENT, triggers=_MESSAGES, is_always=True
    ),
    EventField("tags", "The message's tags.", ["sample", "newsletter"], triggers=_MESSAGES, type=FieldType.TEXTS),
    EventField("mailing", "The message's mailing, if it has one.", "sample-mailing", triggers=_MESSAGES),
    EventField("ip", "The address that the request came from.", "203.0.113.7", triggers=_HITS),
    EventField(
        "useragent",
        "The request's `User-Agent`.",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        triggers=_HITS,
    ),
    EventField("referer", "The request's `Referer`.", "https://mail.example.com/", triggers=_HITS),
    EventField(
        "original",
        "The URL behind the link.",
        "https://example.com/offer?id=1",
        triggers=(Trigger.CLICK,),
        is_always=True,
    ),
    EventField(
        "bot",
        "`1` if a machine made the request: a mail proxy, a link scanner, a crawler.",
        1,
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
        in_samples=False,
    ),
    EventField(
        "bot_reason",
        "With `bot`: how we recognised the machine.",
        "proxy:google",
        triggers=(Trigger.OPEN, Trigger.CLICK),
        in_samples=False,
    ),
    EventField(
        "first",
        "`1` on the first open of the message, and on the first click of each of its links.",
        1,
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
    ),
    EventField("database", "The profile's database.", "1"),
    EventField("profile", "The profile's id.", "123"),
    EventField("collection", "The subprofile's collection.", "orders", triggers=_PROFILES, in_samples=False),
    EventField("subprofile", "The subprofile's id.", "7", triggers=_PROFILES, in_samples=False),
    EventField("created", "When the profile was created.", "2026-01-01 12:00:00", triggers=_PROFILES),
    EventField("modified", "When the profile was last changed.", "2026-01-02 12:00:00", triggers=_PROFILES),
    EventField(
        "parameters",
        "The fields and interests of the call, in one map.",
        {"firstname": "John"},
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.MAP,
    ),
    EventField(
        "changed",
        "The names of the fields that changed.",
        ["firstname"],
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.TEXTS,
        in_samples=False,
    ),
    EventField(
        "fields",
        "The profile's data at the time of the event.",
        {"firstname": "John", "lastname": "Doe", "email": _RECIPIENT},
        type=FieldType.MAP,
    ),
    EventField(
        "interests", "The profile's interests at the time of the event.", ["sailing", "music"], type=FieldType.TEXTS
    ),
    EventField("action", "Always `failed`.", "failed", triggers=(Trigger.FAILURE,)),
    EventField(
        "state",
        "The SMTP stage that failed, or `bounce` if the failure was reported later.",
        "rcptto",
        triggers=(Trigger.FAILURE,),
    ),
    EventField("code", "The SMTP code of the receiving server's reply.", "550", triggers=_REPLIES),
    EventField("extended", "The RFC 3463 status of the reply.", "5.1.1", triggers=_REPLIES),
    EventField(
        "description",
        "The text of the reply.",
        f"5.1.1 <{_RECIPIENT}>: Recipient address rejected: User unknown",
        triggers=_REPLIES,
    ),
    EventField(
        "category",
        "Why the message failed or came back, in one word.",
        "address",
        triggers=_CLASSIFIED,
        in_samples=False,
    ),
    EventField(
        "permanent",
        "`1` if another attempt would fail too, else `0`.",
        1,
        triggers=_CLASSIFIED,
        type=FieldType.NUMBER,
        in_samples=False,
    ),
    EventField("envelope", "The envelope address of the returned mail.", "abuse@example.com", triggers=_MAILS),
    EventField(
        "emailfrom", "The address of the complaint's sender.", "feedback@provider.example", triggers=(Trigger.ABUSE,)
    ),
    EventField(
        "mime",
        "The returned mail as text, at most its first 512 KiB.",
        f"From: sender@example.com\r\nTo: {_RECIPIENT}\r\nSubject: Sample\r\n"
        "Message-ID: <sample@example.com>\r\n\r\nThis is a sample.\r\n",
        triggers=_MAILS,
    ),
    EventField(
        "mime_charset",
        "The charset that `mime` was decoded with: UTF-8 or Latin-1.",
        "utf-8",
        triggers=_MAILS,
        in_samples=False,
    ),
    EventField("mime_truncated", "`1` if `mime` is cut.", 1, triggers=_MAILS, type=FieldType.FLAG, in_samples=False),
)


def fields_of(trigger: str) -> list[EventField]:
    """The fields that an event of this type may have, in their order."""
    return [field for field in FIELDS if trigger in field.triggers]


def example_of(trigger: str, field: EventField) -> Any:
    """The field's example in an event of this type."""
    return trigger if field.name == "type" else EVENT_TYPES[trigger].examples.get(field.name, field.example)
