"""`domain.retry`: bounds that hold for any schedule, response and jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.retry import JITTER, MAX_RETRY_AFTER_S, RetrySchedule, decide, retry_after_s
from domain.values import DeliveryState

SCHEDULES = st.lists(st.floats(0, 100_000), max_size=10).map(lambda delays: RetrySchedule(tuple(delays)))
JITTERS = st.floats(0, 1, exclude_max=True)
STATUSES = st.one_of(st.none(), st.integers(100, 599))
RETRY_AFTERS = st.one_of(st.none(), st.integers(0, 10**12).map(str), st.text(max_size=40))
NOWS = st.integers(0, 4_102_444_800_000)


@given(SCHEDULES, st.integers(1, 12), JITTERS)
def test_a_delay_stays_near_its_base(schedule: RetrySchedule, attempt_no: int, jitter: float) -> None:
    """A delay is within 10 % of the schedule's, and there is none after the last."""
    delay_s = schedule.delay_s(attempt_no, jitter)
    if attempt_no > len(schedule.delays_s):
        assert delay_s is None
    else:
        base_s = schedule.delays_s[attempt_no - 1]
        assert delay_s is not None
        assert base_s * (1 - JITTER) <= delay_s <= base_s * (1 + JITTER)


@given(SCHEDULES, st.integers(1, 9), JITTERS, JITTERS)
def test_jitter_spreads_delays(schedule: RetrySchedule, attempt_no: int, jitter: float, other: float) -> None:
    """More jitter never means an earlier retry."""
    low, high = sorted([jitter, other])
    early, late = schedule.delay_s(attempt_no, low), schedule.delay_s(attempt_no, high)
    if early is not None and late is not None:
        assert early <= late


@given(STATUSES, st.sampled_from([None, "timeout"]), RETRY_AFTERS, st.integers(1, 12), NOWS, SCHEDULES, JITTERS)
def test_a_decision_is_sound(
    status: int | None,
    error: str | None,
    retry_after: str | None,
    attempt_no: int,
    now_ms: int,
    schedule: RetrySchedule,
    jitter: float,
) -> None:
    """Only pending deliveries have a time, within bounds; only 410 disables; only 2xx means delivered."""
    decision = decide(status, error, retry_after, attempt_no, now_ms, schedule, jitter)
    assert (decision.state is DeliveryState.DELIVERED) == (error is None and status is not None and status // 100 == 2)
    assert decision.disable == (status == 410)
    if decision.state is DeliveryState.PENDING:
        longest_s = max(schedule.delays_s[attempt_no - 1] * (1 + JITTER), MAX_RETRY_AFTER_S)
        assert now_ms <= decision.due_at_ms <= now_ms + longest_s * 1000 + 1
    else:
        assert decision.due_at_ms == 0


@given(st.integers(0, 86400), SCHEDULES.filter(lambda s: s.delays_s), NOWS, JITTERS)
def test_retry_after_is_respected(seconds: int, schedule: RetrySchedule, now_ms: int, jitter: float) -> None:
    """A retry never comes earlier than the handler asked for."""
    decision = decide(429, None, str(seconds), 1, now_ms, schedule, jitter)
    assert decision.due_at_ms >= now_ms + seconds * 1000


@given(st.text(), NOWS)
def test_any_header_is_read_or_ignored(value: str, now_ms: int) -> None:
    """No text in `Retry-After` raises, and none asks for more than 24 h."""
    seconds = retry_after_s(value, now_ms)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S


@given(st.lists(st.integers(0, 2_000_000_000_000).map(lambda us: us / 1e6), min_size=1, max_size=10))
def test_a_schedule_reads_its_own_text(delays: list[float]) -> None:
    """A schedule survives the round trip through text, to the microsecond."""
    schedule = RetrySchedule(tuple(delays))
    assert RetrySchedule.parse(str(schedule)) == schedule
