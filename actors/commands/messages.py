"""Messages, and the profiles that they are of."""

from __future__ import annotations

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.events import EventView
from actors.compatibility import WireStruct


class MessageSpec(WireStruct, frozen=True, kw_only=True):
    """A message to register. `id` None: one is made."""

    recipient: str
    id: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    mailing: str | None = None
    database: str | None = None
    profile: str | None = None
    #: Distinct original URLs to be tracked.
    links: list[str] = msgspec.field(default_factory=list)


class RegisteredMessage(WireStruct, frozen=True, kw_only=True):
    """`key` and `account_no` are what its tracking tokens hold."""

    id: str
    key: int
    account_no: int


class Rejection(WireStruct, frozen=True, kw_only=True):
    """Why one of many was not taken. `error` is a class name of `domain.errors`."""

    error: str
    detail: str
    problems: list[tuple[str, str]] = msgspec.field(default_factory=list)


class MessageResult(WireStruct, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

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
    #: True when a PUT made it.
    created: bool = False


class RegisterMessages(Command[list[MessageResult]], frozen=True, kw_only=True):
    """One result for each spec, in order. An id registered before with the same content answers as it did then."""

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
