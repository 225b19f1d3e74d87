"""Announcement of a start: when the service is ready, and how to create the first user."""

from __future__ import annotations

import contextlib
import sys

from api.first_run import FirstRun
from api.observability.readiness import ReadinessProbe


async def announce(readiness: ReadinessProbe, first_run: FirstRun, url: str) -> None:
    """Logs when the service is ready and, if no user exists yet, how to create the first one.

    On a terminal, people get the same in three plain lines on standard output.
    """
    await readiness.announce()
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal:
        _tell(f"Ready at {url}/")
    first_user_url = await first_run.announce(url)
    if is_terminal:
        _tell(f"Create the first user at {first_user_url}" if first_user_url else f"Sign in at {url}/dashboard/sign-in")
        _tell("Press Ctrl-C to stop.")


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        sys.stdout.write(f"{text}\n")  # in one piece: the log of other processes goes to the same terminal
        sys.stdout.flush()
