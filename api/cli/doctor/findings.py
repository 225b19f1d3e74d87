"""Findings of the doctor's checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    #: It works, but perhaps not for long or not for everyone.
    WARNING = "warning"
    #: It is broken.
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line of the doctor's report."""

    #: The subject of the check, one or two words.
    check: str
    level: Level
    #: One sentence without its full stop.
    found: str
    #: What to do, one sentence; empty if there is nothing to do.
    advice: str = ""


#: Runs one check. If the check cannot run, that is a finding, not an exception.
Check = Callable[[], Awaitable[Sequence[Finding]]]


async def carried_out(name: str, check: Check) -> Sequence[Finding]:
    """Runs a check and returns its findings; a crash of the check is a finding too."""
    try:
        return await check()
    except Exception as exc:  # noqa: BLE001  whatever it is: the other checks are to be seen
        found = f"the check failed: {type(exc).__name__}: {exc}"
        return [Finding(name, Level.PROBLEM, found, "Report it, with this line.")]


def ok(check: str, found: str) -> Finding:
    """A finding without a problem."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """A finding that should be fixed."""
    return Finding(check, Level.WARNING, found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """A finding that must be fixed."""
    return Finding(check, Level.PROBLEM, found, advice)
