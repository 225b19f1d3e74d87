"""What the dashboard counts."""

from __future__ import annotations

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.compatibility import WireStruct


class Counts(WireStruct, frozen=True, kw_only=True):
    """Attempts by class of answer (`domain.statistics.ANSWERS`) and by duration (its buckets)."""

    answers: list[int]
    buckets: list[int]


class AttemptMinute(WireStruct, frozen=True, kw_only=True):
    #: Unix time divided by 60.
    minute: int
    counts: Counts


class EventMinute(WireStruct, frozen=True, kw_only=True):
    minute: int
    type: str
    count: int


class LoopStatistics(WireStruct, frozen=True, kw_only=True):
    """How a loop does: its attempts in a time, and what waits, counted up to a bound."""

    loop_id: str
    counts: Counts
    backlog: int
    #: When it was owed an event last.
    last_event_ms: int | None


class ListStatistics(Command[list[LoopStatistics]], frozen=True, kw_only=True):
    """Of each of the loops, in their order, its attempts in the last `minutes` (a day at most are kept)."""

    account: Account
    loop_ids: list[str]
    minutes: int = 24 * 60


class ListAttemptMinutes(Command[list[AttemptMinute]], frozen=True, kw_only=True):
    """Oldest first; minutes without attempts are left out."""

    account: Account
    loop_id: str
    minutes: int = 60


class ListEventMinutes(Command[list[EventMinute]], frozen=True, kw_only=True):
    """Oldest first, by the time of the event; what there was none of is left out."""

    account: Account
    minutes: int = 60
