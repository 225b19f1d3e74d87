"""Number of connections that the front end's limit of open files allows.

When a process has no file left, libuv closes new connections without a word, and the journal cannot open its files. So
the server stays below the limit: for a new connection, it closes the one that has waited longest for its client.
"""

from __future__ import annotations

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

#: Files for everything else: journal, spool, the gateway's socket, libraries.
RESERVED: Final = 64
#: Pause between two log lines about it, in seconds.
LOG_EVERY_S: Final = 60.0


class ConnectionBudget:
    """Counts connections that were closed to make room, and logs it at most once a minute."""

    def __init__(self, open_files_limit: int) -> None:
        self._open_files_limit = open_files_limit
        #: At least some, however low the limit. A quarter is left for those that are accepted at once.
        self.connections: Final = max(open_files_limit - open_files_limit // 4 - RESERVED, 16)
        self.closed = 0
        self._logged_s = float("-inf")

    def note_closed(self) -> None:
        """Counts one connection."""
        self.closed += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            log.error(
                "out of open files: connections that wait for their clients are closed",
                extra={
                    "action": "open_files_exhausted",
                    "limit": self._open_files_limit,
                    "closed": self.closed,
                    "advice": "raise the limit: LimitNOFILE= in the unit, or ulimit -n",
                },
            )
