"""Commands about statistics: attempts, events and backlogs, counted for the dashboard."""

from __future__ import annotations

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.loops import LoopCommand
from actors.compatibility import WireStruct


class Counts(WireStruct, frozen=True, kw_only=True):
    """Attempts by class of answer (`domain.statistics.ANSWERS`) and by duration (buckets of `domain.statistics`)."""

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
    """A loop's attempts during a time, and its backlog, counted up to a limit."""

    loop_id: str
    counts: Counts
    backlog: int
    #: Creation of its newest delivery.
    last_event_ms: int | None


class ListStatistics(Command[list[LoopStatistics]], frozen=True, kw_only=True):
    """Counts the attempts of each loop in the last `minutes`, in the order of `loop_ids`. Counts are kept for a day."""

    account: Account
    loop_ids: list[str]
    minutes: int = 24 * 60


class ListAttemptMinutes(LoopCommand[list[AttemptMinute]], frozen=True, kw_only=True):
    """Counts a loop's attempts by the minute, oldest first, without empty minutes."""

    minutes: int = 60


class ListEventMinutes(Command[list[EventMinute]], frozen=True, kw_only=True):
    """Counts events by the minute of their time and by type, oldest first, without zeros."""

    account: Account
    minutes: int = 60
