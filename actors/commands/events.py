"""Commands about the event log."""

from __future__ import annotations

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.compatibility import WireStruct


class EventView(WireStruct, frozen=True, kw_only=True):
    """A recorded event. `fields` are the fields of its POST, as JSON text."""

    id: str
    type: str
    time_ms: int
    fields: msgspec.Raw


class GetEvent(Command[EventView], frozen=True, kw_only=True):
    account: Account
    event_id: str


class EventMail(WireStruct, frozen=True, kw_only=True):
    """The returned mail that is stored with an event."""

    #: The POST's field `mime`: at most 512 KiB in UTF-8.
    mime: str


class GetEventMail(Command[EventMail], frozen=True, kw_only=True):
    """Reads the returned mail of an event. Not found if the event has none."""

    account: Account
    event_id: str


class ListEvents(Command[Page[EventView]], frozen=True, kw_only=True):
    """Lists events, newest first; with `after`, oldest first."""

    account: Account
    #: The id of an event; only events with greater ids are listed.
    after: str | None = None
    type: str | None = None
    message_id: str | None = None
    recipient: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 50
    cursor: str | None = None
