"""Times on the command line, absolute or relative."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

HELP: Final = "as 2026-03-01T09:30:00Z, or how long ago: 90s, 30m, 12h, 7d"
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _now() -> datetime:
    return datetime.now(UTC)


def moment(text: str, now: Callable[[], datetime] = _now) -> str:
    """The time as the API takes it, RFC 3339 in UTC.

    Raises:
        argparse.ArgumentTypeError: it is no time, or one without an offset from UTC.
    """
    try:
        if ago := _AGO.fullmatch(text):
            found = now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return f"{found.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"must be a time {HELP}")
