"""What a check of the doctor finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, but may not for long, or not for all.
    WARNING = "warning"
    #: It does not do what it promises.
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line of the doctor's report."""

    #: What was looked at, one word or two.
    check: str
    level: Level
    #: What was found, one sentence without its full stop.
    found: str
    #: What to do, one sentence; empty when nothing has to be done.
    advice: str = ""


#: Looks at one thing. What it cannot find out is a finding, not an exception.
Check = Callable[[], Awaitable[Sequence[Finding]]]


async def carried_out(name: str, check: Check) -> Sequence[Finding]:
    """The findings of a check; that it failed itself is one too."""
    try:
        return await check()
    except Exception as exc:  # noqa: BLE001  whatever it is: the other checks are to be seen
        found = f"this could not be looked at: {type(exc).__name__}: {exc}"
        return [Finding(name, Level.PROBLEM, found, "Report it, with this line.")]


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It should be seen to."""
    return Finding(check, Level.WARNING, found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """It has to be seen to."""
    return Finding(check, Level.PROBLEM, found, advice)
