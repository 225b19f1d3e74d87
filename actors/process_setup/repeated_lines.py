"""Filter for log lines about something that is tried again: one when it begins or changes, not one per attempt."""

from __future__ import annotations

import logging
import time
from typing import Final

#: The same problem is logged again after this many seconds, with the number of lines that were left out.
REPEAT_S: Final = 60.0
_MAX_KEYS: Final = 1000


class RepeatFilter(logging.Filter):
    """Leaves out a warning with an `error` if there was one with the same error, of any loop, in the last minute."""

    def __init__(self) -> None:
        super().__init__()
        #: By logger, message, action and error: when it was logged, and how many lines were left out since.
        self._logged: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = getattr(record, "error", None)
        if record.levelno != logging.WARNING or error is None or record.exc_info:
            return True
        key = (record.name, record.msg, getattr(record, "action", None), str(error))
        now_s = time.monotonic()
        logged_s, left_out = self._logged.get(key, (float("-inf"), 0))
        if now_s - logged_s < REPEAT_S:
            self._logged[key] = (logged_s, left_out + 1)
            return False
        if left_out:
            record.left_out = left_out
        if len(self._logged) >= _MAX_KEYS:
            self._logged.clear()
        self._logged[key] = (now_s, 0)
        return True
