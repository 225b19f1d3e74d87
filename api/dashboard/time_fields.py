"""Date and time fields, `<input type=datetime-local>`, which have no time zone.

The server sends such a field in UTC, and its label says so. The page's script converts both to the viewer's zone and
submits the moment with a `Z`. So a URL means the same range wherever it is opened.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.errors import InvalidInput

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def time_ms(text: str, name: str) -> int:
    """The field's time in Unix milliseconds: a moment with a zone, or a date and time in UTC.

    Raises:
        InvalidInput: the text is not a time.
    """
    moment = _moment(text)
    if moment is None:
        problem = "must be a date and a time such as 2026-03-01T09:30 (UTC)"
        raise InvalidInput(f"{name} {problem}", [(f"/{name}", problem)])
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def field_text(text: str) -> str:
    """The field's value in UTC. Text that is not a time is returned unchanged."""
    moment = _moment(text)
    if moment is None:
        return text
    timespec = "milliseconds" if moment.microsecond else "seconds" if moment.second else "minutes"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec)
