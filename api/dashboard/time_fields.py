"""Fields for a date and a time, `<input type=datetime-local>`, which knows no zone.

As it is served such a field is in UTC, and its label says so. The page's script puts both into the viewer's zone, and
sends the moment itself with a `Z`: a URL that was made so means the same range wherever it is opened.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.errors import InvalidInput

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?")
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
    """The time that the field says: a moment with its zone, or a date and a time in UTC.

    Raises:
        InvalidInput: it is none.
    """
    moment = _moment(text)
    if moment is None:
        problem = "must be a date and a time such as 2026-03-01T09:30 (UTC)"
        raise InvalidInput(f"{name} {problem}", [(f"/{name}", problem)])
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def field_text(text: str) -> str:
    """What the field is served with for this, in UTC; what is no time stays as it was typed."""
    moment = _moment(text)
    if moment is None:
        return text
    timespec = "milliseconds" if moment.microsecond else "seconds" if moment.second else "minutes"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec)
