"""Commands about messages and recipients' profiles."""

from __future__ import annotations

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.events import EventView
from actors.compatibility import WireStruct


class MessageSpec(WireStruct, frozen=True, kw_only=True):
    """A message to register. If `id` is None, it gets one."""

    recipient: str
    id: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    mailing: str | None = None
    database: str | None = None
    profile: str | None = None
    #: The distinct URLs to track.
    links: list[str] = msgspec.field(default_factory=list)


class RegisteredMessage(WireStruct, frozen=True, kw_only=True):
    """A registered message. Its tracking tokens contain `key` and `account_no`."""

    id: str
    key: int
    account_no: int


class Rejection(WireStruct, frozen=True, kw_only=True):
    """The reason why a message was rejected. `error` is the name of a class in `domain.errors`."""

    error: str
    detail: str
    problems: list[tuple[str, str]] = msgspec.field(default_factory=list)


class MessageResult(WireStruct, frozen=True, kw_only=True):
    """Either a message or a rejection."""

    message: RegisteredMessage | None = None
    rejection: Rejection | None = None


class MessageView(WireStruct, frozen=True, kw_only=True):
    key: int
    account_no: int
    id: str
    recipient: str
    tags: list[str]
    mailing: str | None
    database: str | None
    profile: str | None
    links: list[str]
    created_at_ms: int
    history: list[EventView]


class Profile(WireStruct, frozen=True, kw_only=True):
    database: str
    id: str
    #: JSON text of an object of scalars, lists and maps.
    fields: msgspec.Raw
    interests: list[str]
    created_at_ms: int
    modified_at_ms: int
    #: Whether this `PutProfile` created it.
    created: bool = False


class RegisterMessages(Command[list[MessageResult]], frozen=True, kw_only=True):
    """Registers messages. One result per message, in order; repeating a message repeats its result."""

    account: Account
    messages: list[MessageSpec]


class GetMessage(Command[MessageView], frozen=True, kw_only=True):
    account: Account
    message_id: str


class PutProfile(Command[Profile], frozen=True, kw_only=True):
    account: Account
    database: str
    profile_id: str
    #: A JSON object.
    fields: msgspec.Raw
    interests: list[str]


class GetProfile(Command[Profile], frozen=True, kw_only=True):
    account: Account
    database: str
    profile_id: str
