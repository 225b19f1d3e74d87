"""How long a session lasts, and how often somebody may try to sign in. Times are Unix milliseconds."""

from __future__ import annotations

from typing import Final, NamedTuple

_HOUR_MS: Final = 3600 * 1000

#: A session that nobody uses ends.
IDLE_MS: Final = 12 * _HOUR_MS
#: And so does one that is used all the time.
ABSOLUTE_MS: Final = 7 * 24 * _HOUR_MS
#: How exactly it is known when a session, or an API key, was used last: no request writes for it more often.
USE_NOTED_EVERY_MS: Final = 60 * 1000

#: Tries to sign in are counted for so long.
WINDOW_MS: Final = 15 * 60 * 1000
#: Tries from one address in a window, the right ones too; an office has one address.
MAX_TRIES_PER_ADDRESS: Final = 40
#: Tries for one user in a window, from wherever. A stranger who would lock a user out needs several addresses.
MAX_TRIES_PER_USER: Final = 50


def session_ends_ms(began_at_ms: int, used_at_ms: int) -> int:
    """When a session is over that is not used any more."""
    return min(used_at_ms + IDLE_MS, began_at_ms + ABSOLUTE_MS)


def is_use_due(used_at_ms: int | None, now_ms: int) -> bool:
    """Whether a use of a session or an API key is to be recorded: the last record is too old, or there is none."""
    return used_at_ms is None or now_ms - used_at_ms >= USE_NOTED_EVERY_MS


class Tries(NamedTuple):
    """Tries in the window that began at `since_ms`."""

    made: int
    since_ms: int

    def after_one_more(self, now_ms: int) -> Tries:
        """With another try; a window that is over begins anew."""
        if now_ms >= self.since_ms + WINDOW_MS or now_ms < self.since_ms:
            return Tries(1, now_ms)
        return Tries(self.made + 1, self.since_ms)

    def wait_ms(self, limit: int, now_ms: int) -> int:
        """How long until there may be another try; 0 when this one was within the limit."""
        return max(self.since_ms + WINDOW_MS - now_ms, 0) if self.made > limit else 0
