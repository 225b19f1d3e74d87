"""Fields of an event as handlers receive them, one row each. Source: the contract, section 5."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from domain.event_catalogue.report_values import (
    MAX_ADDRESS_CHARS,
    EnhancedStatus,
    IpAddress,
    MailSource,
    ReportAddress,
    ReportChoice,
    ReportText,
    ReportType,
    SmtpCode,
)
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
#: Events of hits always have a message; a report may match none.
_OF_A_MESSAGE: Final = (Trigger.OPEN.value, Trigger.CLICK.value)
#: UTF-8 bytes of a returned mail that an event keeps.
MAX_MIME_BYTES: Final = 512 * 1024
#: Stages of SMTP, and `bounce` for a failure that was reported after the mail had been accepted.
FAILURE_STATES: Final = ("connect", "helo", "mail", "rcpt", "data", "bounce")
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
    #: The names of the triggers whose events always have the field.
    always: tuple[str, ...] = ()
    #: Whether samples have the field.
    in_samples: bool = True
    #: The type of the field's value in a report; None if reports cannot contain it.
    report: ReportType | None = None
    #: Whether the value may reveal a person: an erasure removes it from the event.
    personal: bool = True


#: In the order in which samples and the documentation have them.
FIELDS: Final[tuple[EventField, ...]] = (
    EventField("id", "The message's id.", "sample-message", triggers=_MESSAGES, always=_OF_A_MESSAGE, personal=False),
    EventField(
        "message",
        "The message's id, the same as `id`.",
        "sample-message",
        triggers=_MESSAGES,
        always=_OF_A_MESSAGE,
        personal=False,
    ),
    EventField(
        "event",
        "The event's id, the same on every attempt: use it to recognise repeats.",
        "evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1",
        always=_ALL,
        personal=False,
    ),
    EventField("type", "What happened.", "click", always=_ALL, personal=False),
    EventField(
        "timestamp",
        "When it happened, as `YYYY-MM-DD HH:MM:SS` in UTC.",
        "2026-03-01 09:30:00",
        always=_ALL,
        personal=False,
    ),
    EventField(
        "time", "When it happened, as Unix seconds.", 1772357400, type=FieldType.NUMBER, always=_ALL, personal=False
    ),
    EventField(
        "recipient",
        "The e-mail address that the message was sent to.",
        _RECIPIENT,
        triggers=_MESSAGES,
        always=_OF_A_MESSAGE,
        report=ReportAddress(),
    ),
    EventField(
        "tags",
        "The message's tags.",
        ["sample", "newsletter"],
        triggers=_MESSAGES,
        type=FieldType.TEXTS,
        personal=False,
    ),
    EventField(
        "mailing", "The message's mailing, if it has one.", "sample-mailing", triggers=_MESSAGES, personal=False
    ),
    EventField("ip", "The address that the request came from.", "203.0.113.7", triggers=_HITS, report=IpAddress()),
    EventField(
        "useragent",
        "The request's `User-Agent`.",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        triggers=_HITS,
        report=ReportText(1024),
    ),
    EventField("referer", "The request's `Referer`.", "https://mail.example.com/", triggers=_HITS),
    EventField(
        "original",
        "The URL behind the link.",
        "https://example.com/offer?id=1",
        triggers=(Trigger.CLICK,),
        always=(Trigger.CLICK.value,),
    ),
    EventField(
        "bot",
        "`1` if a machine made the request: a mail proxy, a link scanner, a crawler.",
        1,
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
        in_samples=False,
        personal=False,
    ),
    EventField(
        "bot_reason",
        "With `bot`: how we recognised the machine.",
        "proxy:google",
        triggers=(Trigger.OPEN, Trigger.CLICK),
        in_samples=False,
        personal=False,
    ),
    EventField(
        "first",
        "`1` on the first open of the message, and on the first click of each of its links.",
        1,
        triggers=(Trigger.OPEN, Trigger.CLICK),
        type=FieldType.FLAG,
        personal=False,
    ),
    EventField("database", "The profile's database.", "1", personal=False),
    EventField("profile", "The profile's id.", "123", personal=False),
    EventField(
        "collection", "The subprofile's collection.", "orders", triggers=_PROFILES, in_samples=False, personal=False
    ),
    EventField("subprofile", "The subprofile's id.", "7", triggers=_PROFILES, in_samples=False, personal=False),
    EventField(
        "created",
        "When the profile or subprofile was created.",
        "2026-01-01 12:00:00",
        triggers=_PROFILES,
        personal=False,
    ),
    EventField(
        "modified",
        "When the profile or subprofile last changed.",
        "2026-01-02 12:00:00",
        triggers=_PROFILES,
        personal=False,
    ),
    EventField(
        "parameters",
        "The fields and interests of the call, in one map. An interest is `1`, or `0` if a PATCH took it away; a field "
        "wins over an interest with the same name. Not if an erasure caused the event.",
        {"firstname": "John"},
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.MAP,
    ),
    EventField(
        "changed",
        "The names of the fields and interests that changed, with those that were removed.",
        ["firstname"],
        triggers=(Trigger.CREATE, Trigger.UPDATE),
        type=FieldType.TEXTS,
        in_samples=False,
    ),
    EventField(
        "fields",
        "The data of the profile or subprofile at the time of the event; for `delete`, its last data, unless an "
        "erasure caused it.",
        {"firstname": "John", "lastname": "Doe", "email": _RECIPIENT},
        type=FieldType.MAP,
    ),
    EventField(
        "interests", "The profile's interests at the time of the event.", ["sailing", "music"], type=FieldType.TEXTS
    ),
    EventField(
        "action",
        "Always `failed`.",
        "failed",
        triggers=(Trigger.FAILURE,),
        report=ReportChoice(("failed",)),
        personal=False,
    ),
    EventField(
        "state",
        "The SMTP stage that failed, or `bounce` if the failure was reported later.",
        "rcpt",
        triggers=(Trigger.FAILURE,),
        report=ReportChoice(FAILURE_STATES),
        personal=False,
    ),
    EventField(
        "code",
        "The SMTP code of the receiving server's reply.",
        "550",
        triggers=_REPLIES,
        report=SmtpCode(),
        personal=False,
    ),
    EventField(
        "extended",
        "The RFC 3463 status of the reply.",
        "5.1.1",
        triggers=_REPLIES,
        report=EnhancedStatus(),
        personal=False,
    ),
    EventField(
        "description",
        "The text of the reply.",
        f"5.1.1 <{_RECIPIENT}>: Recipient address rejected: User unknown",
        triggers=_REPLIES,
        report=ReportText(4000, lines=True, min_chars=0),
    ),
    EventField(
        "category",
        "Why the message failed or came back, in one word.",
        "address",
        triggers=_CLASSIFIED,
        in_samples=False,
        personal=False,
    ),
    EventField(
        "permanent",
        "`1` if another attempt would fail too, else `0`.",
        1,
        triggers=_CLASSIFIED,
        type=FieldType.NUMBER,
        in_samples=False,
        personal=False,
    ),
    EventField(
        "envelope",
        "The envelope address of the returned mail.",
        "abuse@example.com",
        triggers=_MAILS,
        report=ReportText(MAX_ADDRESS_CHARS),
    ),
    EventField(
        "emailfrom",
        "The address of the person who complained.",
        "john.doe@example.com",
        triggers=(Trigger.ABUSE,),
        report=ReportText(MAX_ADDRESS_CHARS),
    ),
    EventField(
        "mime",
        "The returned mail as text, at most its first 512 KiB.",
        f"From: sender@example.com\r\nTo: {_RECIPIENT}\r\nSubject: Sample\r\n"
        "Message-ID: <sample@example.com>\r\n\r\nThis is a sample.\r\n",
        triggers=_MAILS,
        report=MailSource(MAX_MIME_BYTES),
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

#: Names of the fields that stay when a person is erased.
KEPT_FIELDS: Final = frozenset(field.name for field in FIELDS if not field.personal)


def fields_of(trigger: str) -> list[EventField]:
    """The fields that an event of this type may have, in their order."""
    return [field for field in FIELDS if trigger in field.triggers]


def example_of(trigger: str, field: EventField) -> Any:
    """The field's example in an event of this type."""
    return trigger if field.name == "type" else EVENT_TYPES[trigger].examples.get(field.name, field.example)
