"""Retry rules: after an attempt, a delivery is delivered, dead, or due again. Source: the contract, section 5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final, NamedTuple, Self

from domain.aggregate import instant
from domain.delivery import EVENT_TOO_LARGE
from domain.errors import InvalidInput
from domain.values import DeliveryState

#: Delays vary by 10 % either way, so that deliveries which failed together do not return together.
JITTER: Final = 0.1
MAX_RETRY_AFTER_S: Final = 24 * 3600.0
MAX_DELAY_S: Final = 30 * 24 * 3600.0
MAX_RETRIES: Final = 100
#: The text of a schedule without retries.
NO_RETRIES: Final = "none"
_GONE: Final = 410
_ASKS_TO_WAIT: Final = frozenset({429, 503})
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_SECONDS = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The delays, in seconds, before each retry. Without delays there is only one attempt."""

    delays_s: tuple[float, ...]

    def __post_init__(self) -> None:
        fits = all(isfinite(delay) and 0 <= delay <= MAX_DELAY_S for delay in self.delays_s)
        if not fits or len(self.delays_s) > MAX_RETRIES:
            raise InvalidInput.at(
                "/retry_schedule", f"must be at most {MAX_RETRIES} delays of 0 to {MAX_DELAY_S:.0f} seconds"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The schedule written as `5,300,1800`: seconds, separated by commas; `none` or nothing: no retries.

        Raises:
            InvalidInput: names the part that is not a number of seconds, or the limit that is exceeded.
        """
        if text.strip().lower() in {"", NO_RETRIES}:
            return cls(())
        parts = [part.strip() for part in text.split(",")]
        for n, part in enumerate(parts, start=1):
            if not _NUMBER.fullmatch(part):
                raise InvalidInput.at(
                    "/retry_schedule",
                    f"must be seconds separated by commas, like 5,300,1800, or none; number {n} is {part[:40]!r}",
                )
        return cls(tuple(float(part) for part in parts))

    def __str__(self) -> str:
        return ",".join(f"{delay:.6f}".rstrip("0").rstrip(".") for delay in self.delays_s) or NO_RETRIES

    def delay_s(self, attempt_no: int, jitter: float) -> float | None:
        """Seconds to wait after failed attempt `attempt_no` (from 1), or None when it was the last.

        `jitter` in [0, 1) varies the delay: 0 is 10 % early, 0.5 on time, near 1 is 10 % late.
        """
        if not 1 <= attempt_no <= len(self.delays_s):
            return None
        return self.delays_s[attempt_no - 1] * (1 - JITTER + 2 * JITTER * jitter)


class Decision(NamedTuple):
    """The state of a delivery after an attempt."""

    state: DeliveryState
    #: Unix time, milliseconds, of the next attempt; 0 when there is none.
    due_at_ms: int
    #: Whether the handler asked for no more events.
    disable: bool


def decide(
    answer_status: int | None,
    error: str | None,
    retry_after: str | None,
    attempt_no: int,
    now_ms: int,
    schedule: RetrySchedule,
    jitter: float,
) -> Decision:
    """Decides what follows attempt `attempt_no` (from 1), which ended at `now_ms` with a status or an error.

    2xx means delivered. 410 means dead, and disables the loop. An event that is too large to send is dead. Everything
    else is retried on the schedule until that is exhausted. After 429 and 503, the retry also waits for `Retry-After`,
    up to 24 h; this adds no attempts.
    """
    if answer_status is not None and error is None and 200 <= answer_status < 300:
        return Decision(DeliveryState.DELIVERED, 0, disable=False)
    if answer_status == _GONE:
        return Decision(DeliveryState.DEAD, 0, disable=True)
    delay_s = None if error == EVENT_TOO_LARGE else schedule.delay_s(attempt_no, jitter)
    if delay_s is None:
        return Decision(DeliveryState.DEAD, 0, disable=False)
    if answer_status in _ASKS_TO_WAIT and retry_after is not None:
        asked_s = retry_after_s(retry_after, now_ms) or 0.0
        # Jitter only delays: never retry earlier than the handler asked for.
        delay_s = max(delay_s, min(asked_s * (1 + JITTER * jitter), MAX_RETRY_AFTER_S))
    return Decision(DeliveryState.PENDING, now_ms + round(delay_s * 1000), disable=False)


def retry_after_s(value: str, now_ms: int) -> float | None:
    """The seconds that a `Retry-After` header asks for (RFC 9110 10.2.3), 0 to 24 h; None if it is invalid."""
    text = value.strip()
    if _SECONDS.fullmatch(text):
        # float() of thousands of digits is infinite, or slow.
        return MAX_RETRY_AFTER_S if len(text.lstrip("0")) > 9 else min(float(text), MAX_RETRY_AFTER_S)
    at = _http_date(text)
    if at is None:
        return None
    return min(max((at - instant(now_ms)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text[:64])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
