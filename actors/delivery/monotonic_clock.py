"""A wall clock that never goes back, for waiting until a time of day."""

from __future__ import annotations

from actors.ports import Clock


class MonotonicWallClock:
    """Unix time that never goes back while the process lives.

    It follows a clock that is set forward, but not one that is set back: a retry that is due in five seconds then
    starts in five seconds, not in an hour and five seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._wall_ms = clock.now_ms
        self._monotonic_s = clock.monotonic_s
        #: Wall time minus monotonic time.
        self._ahead_ms = clock.now_ms() - int(clock.monotonic_s() * 1000)

    def now_ms(self) -> int:
        """Unix time, milliseconds: the clock's, or later."""
        steady_ms = int(self._monotonic_s() * 1000) + self._ahead_ms
        now_ms = self._wall_ms()
        if now_ms <= steady_ms:
            return steady_ms
        self._ahead_ms += now_ms - steady_ms
        return now_ms
