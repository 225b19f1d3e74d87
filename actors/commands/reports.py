"""Commands about reports, and about the API keys that front ends know."""

from __future__ import annotations

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.compatibility import WireStruct


class ReportView(WireStruct, frozen=True, kw_only=True):
    """A report and what became of it."""

    id: str
    #: A name of `domain.reports.intake.ReportState`, in lower case.
    state: str
    source: str
    #: A trigger's name, or the kind of a returned mail.
    kind: str
    arrived_at_ms: int
    #: Ids of its events.
    events: list[str] = msgspec.field(default_factory=list)
    #: Whether parts of a returned mail were ignored.
    is_truncated: bool = False
    #: The id of the report that this one repeats.
    first_id: str | None = None


class GetReport(Command[ReportView], frozen=True, kw_only=True):
    account: Account
    report_id: str


class FindReport(Command[ReportView | None], frozen=True, kw_only=True):
    """Finds the report that an event came from; None if it was none, or is over 30 days old."""

    account: Account
    event_id: str


class ListReports(Command[Page[ReportView]], frozen=True, kw_only=True):
    """Lists the reports of the last 30 days, newest first."""

    account: Account
    state: str | None = None
    limit: int = 50
    cursor: str | None = None


class KnownApiKey(WireStruct, frozen=True, kw_only=True):
    """A valid API key and its account. `hash` is the SHA-256 of the key, hex."""

    hash: str
    account: Account


class ApiKeyList(WireStruct, frozen=True, kw_only=True):
    """All valid API keys at a version; None if the caller knows that version."""

    version: int
    keys: list[KnownApiKey] | None = None


class ReadApiKeys(Command[ApiKeyList], frozen=True, kw_only=True):
    """Reads all valid API keys, unless the list has the version that the caller knows."""

    known_version: int = -1
