"""Limits of sessions and of attempts to sign in. Times are Unix milliseconds."""

from __future__ import annotations

from typing import Final, NamedTuple

_HOUR_MS: Final = 3600 * 1000

#: An idle session ends after this time.
IDLE_MS: Final = 12 * _HOUR_MS
#: Any session ends after this time.
ABSOLUTE_MS: Final = 7 * 24 * _HOUR_MS
#: Precision of the last use of a session or an API key: it is recorded at most this often.
USE_NOTED_EVERY_MS: Final = 60 * 1000

#: Window in which attempts to sign in are counted.
WINDOW_MS: Final = 15 * 60 * 1000
#: Attempts from one address in a window, including successful ones; an office has one address.
MAX_TRIES_PER_ADDRESS: Final = 40
#: Attempts for one user in a window, from any address. Locking a user out takes several addresses.
MAX_TRIES_PER_USER: Final = 50


def session_ends_ms(began_at_ms: int, used_at_ms: int) -> int:
    """When an idle session expires."""
    return min(used_at_ms + IDLE_MS, began_at_ms + ABSOLUTE_MS)


def is_use_due(used_at_ms: int | None, now_ms: int) -> bool:
    """Whether to record a use of a session or an API key, because the last record is too old or missing."""
    return used_at_ms is None or now_ms - used_at_ms >= USE_NOTED_EVERY_MS


class Tries(NamedTuple):
    """Attempts to sign in, in the window that began at `since_ms`."""

    made: int
    since_ms: int

    def after_one_more(self, now_ms: int) -> Tries:
        """With another attempt; a new window begins if this one is over."""
        if now_ms >= self.since_ms + WINDOW_MS or now_ms < self.since_ms:
            return Tries(1, now_ms)
        return Tries(self.made + 1, self.since_ms)

    def wait_ms(self, limit: int, now_ms: int) -> int:
        """Milliseconds until the next attempt is allowed; 0 if this one was within the limit."""
        return max(self.since_ms + WINDOW_MS - now_ms, 0) if self.made > limit else 0
