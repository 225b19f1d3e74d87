"""Commands about a person, by their e-mail address: everything that is kept, and how much."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.deliveries import EventDelivery
from actors.commands.events import EventView
from actors.commands.messages import MessageView
from actors.commands.profiles import Profile
from actors.commands.reports import ReportView
from actors.compatibility import WireStruct
from domain.profile_change import ProfileKey

#: Larger numbers are not counted.
MAX_COUNT: Final = 10_000


class ProfileVersion(WireStruct, frozen=True, kw_only=True):
    """Former data of a profile or subprofile, or what remains known of it."""

    key: ProfileKey
    #: `created`, `updated`, `deleted` or `recreated`.
    change: str
    at_ms: int
    #: JSON text of an object.
    fields: msgspec.Raw
    interests: list[str]


class ExportedMail(WireStruct, frozen=True, kw_only=True):
    """The returned mail of an event."""

    event: str
    mime: str


class ExportedRecord(WireStruct, frozen=True, kw_only=True):
    """One thing that is kept about a person; exactly one attribute is set."""

    #: When the person unsubscribed; kept after an erasure.
    opted_out_at_ms: int | None = None
    #: The id of an erasure of this person that is running: what follows may be incomplete.
    erasure: str | None = None
    message: MessageView | None = None
    event: EventView | None = None
    mail: ExportedMail | None = None
    delivery: EventDelivery | None = None
    profile: Profile | None = None
    version: ProfileVersion | None = None
    #: A report without a message, whose text has the address; its events follow.
    report: ReportView | None = None


class ExportPage(WireStruct, frozen=True, kw_only=True):
    """A part of an export. `next` is the cursor of the next page; None at the end."""

    records: list[ExportedRecord]
    next: str | None


class ExportRecipient(Command[ExportPage], frozen=True, kw_only=True):
    """Reads what an account keeps about a person, page by page. Each page is bounded, and sees its own moment."""

    is_idempotent: ClassVar[bool] = True

    account: Account
    email: str
    cursor: str | None = None


class RecipientCounts(WireStruct, frozen=True, kw_only=True):
    """How much an account keeps about a person. No number is above `MAX_COUNT`, which means that many or more."""

    messages: int
    events: int
    deliveries: int
    profiles: int
    #: Whether it is kept that the person had unsubscribed before an erasure.
    has_opt_out: bool = False


class CountRecipient(Command[RecipientCounts], frozen=True, kw_only=True):
    """Counts what an account keeps about a person."""

    is_idempotent: ClassVar[bool] = True

    account: Account
    email: str
