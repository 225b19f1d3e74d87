"""Commands about messages."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.commands.events import EventView
from actors.compatibility import WireStruct

#: The most events shown with a message, the latest ones. A scanner may open a message thousands of times.
MAX_HISTORY: Final = 1000


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
    #: The mail's Message-ID or a provider's id, unique in the account.
    reference: str | None = None


class RegisteredMessage(WireStruct, frozen=True, kw_only=True):
    """A registered message. Its tracking tokens contain `key` and `account_no`."""

    id: str
    key: int
    account_no: int
    #: Whether the same message had been registered before.
    is_known: bool = False


class Rejection(WireStruct, frozen=True, kw_only=True):
    """The reason why a message or a profile was rejected. `error` is the name of a class in `domain.errors`."""

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
    reference: str | None = None
    #: When its recipient was erased, Unix milliseconds. It then has no recipient, links and reference.
    erased_at_ms: int | None = None


class RegisterMessages(Command[list[MessageResult]], frozen=True, kw_only=True):
    """Registers messages. One result per message, in order; repeating a message repeats its result."""

    account: Account
    messages: list[MessageSpec]


class ListMessages(Command[Page[MessageView]], frozen=True, kw_only=True):
    """Lists messages, newest first, without their history. All given filters must match."""

    account: Account
    recipient: str | None = None
    tag: str | None = None
    mailing: str | None = None
    limit: int = 50
    cursor: str | None = None


class GetMessage(Command[MessageView], frozen=True, kw_only=True):
    account: Account
    message_id: str
