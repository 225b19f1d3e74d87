"""Time of day for waiting by: it goes on when the machine's clock is set back."""

from __future__ import annotations

from actors.ports import Clock


class MonotonicWallClock:
    """Unix time that never goes back while the process lives.

    A clock that is set forward is followed. One that is set back is not: what was to be done in five seconds is done in
    five seconds, and not in an hour and five seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._wall_ms = clock.now_ms
        self._monotonic_s = clock.monotonic_s
        #: What the time of day is ahead of the monotonic time.
        self._ahead_ms = clock.now_ms() - int(clock.monotonic_s() * 1000)

    def now_ms(self) -> int:
        """Unix time, milliseconds: the clock's, or later."""
        steady_ms = int(self._monotonic_s() * 1000) + self._ahead_ms
        now_ms = self._wall_ms()
        if now_ms <= steady_ms:
            return steady_ms
        self._ahead_ms += now_ms - steady_ms
        return now_ms
