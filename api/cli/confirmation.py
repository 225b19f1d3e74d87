"""Confirmation of what cannot be undone: asks on a terminal, and needs `--yes` elsewhere."""

from __future__ import annotations

import sys

from api.cli.console import Screen
from api.cli.terminal import FAILED, MISUSED


def refusal(screen: Screen, program: str, question: str, *, yes: bool) -> int | None:
    """The exit code of a command that was not confirmed; None if it was, by `yes` or by the answer."""
    if yes:
        return None
    if not sys.stdin.isatty():
        screen.beside(f"{program}: {question} Confirm with --yes")
        return MISUSED
    screen.beside(f"{question} [y/N]")
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() in {"y", "yes"}:
        return None
    screen.beside("nothing was changed")
    return FAILED
