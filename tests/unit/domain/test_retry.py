"""`domain.retry`: the contract's rules, case by case."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.retry import Decision, RetrySchedule, decide, retry_after_s
from domain.values import DeliveryState

SCHEDULE = RetrySchedule((5.0, 300.0))
NOW_MS = 1_445_412_480_000  # Wed, 21 Oct 2015 07:28:00 GMT
DELIVERED = Decision(DeliveryState.DELIVERED, 0, disable=False)
DEAD = Decision(DeliveryState.DEAD, 0, disable=False)


def after(
    status: int | None, error: str | None = None, retry_after: str | None = None, attempt_no: int = 1
) -> Decision:
    return decide(status, error, retry_after, attempt_no, NOW_MS, SCHEDULE, jitter=0.5)


def in_s(seconds: float) -> Decision:
    return Decision(DeliveryState.PENDING, NOW_MS + round(seconds * 1000), disable=False)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    """Every 2xx ends the delivery."""
    assert after(status) == DELIVERED


def test_an_event_too_large_to_be_sent_is_dead_at_once() -> None:
    """No attempt can succeed, and the loop is not disabled."""
    assert after(None, "event_too_large") == DEAD


@pytest.mark.parametrize("status", [100, 199, 300, 301, 308, 400, 401, 404, 429, 500, 503, 599])
def test_any_other_response_is_retried(status: int) -> None:
    """Redirects, rejections and failures are retried on the schedule."""
    assert after(status) == in_s(5)


@pytest.mark.parametrize("error", ["timeout", "connect", "tls", "address", "protocol"])
def test_a_missing_response_is_retried(error: str) -> None:
    """Timeouts and broken connections are retried on the schedule, whatever status came first."""
    assert after(None, error) == in_s(5)
    assert after(200, error) == in_s(5)


def test_the_schedule_is_followed_to_its_end() -> None:
    """Each retry waits for its delay, and after the last one the delivery is dead."""
    assert [after(500, attempt_no=n) for n in (1, 2, 3, 4)] == [in_s(5), in_s(300), DEAD, DEAD]


def test_410_is_dead_and_disables_the_loop() -> None:
    """A handler that no longer exists gets no retry, whatever is left of the schedule."""
    assert after(410) == Decision(DeliveryState.DEAD, 0, disable=True)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status: int) -> None:
    """A longer wait is respected, in seconds or as a date; a shorter one does not shorten the schedule."""
    assert after(status, retry_after="60") == in_s(60 * 1.05)
    assert after(status, retry_after="Wed, 21 Oct 2015 07:29:00 GMT") == in_s(60 * 1.05)
    assert after(status, retry_after="1") == in_s(5)


def test_retry_after_is_capped() -> None:
    """A handler cannot ask for more than 24 hours."""
    assert after(503, retry_after="9999999999") == in_s(86400)
    assert after(503, retry_after="Fri, 31 Dec 9999 23:59:59 GMT") == in_s(86400)


def test_retry_after_adds_no_attempts() -> None:
    """Attempts with Retry-After count: the schedule is not prolonged."""
    assert after(503, retry_after="60", attempt_no=3) == DEAD


@pytest.mark.parametrize("status", [500, 301, 404])
def test_retry_after_elsewhere_is_ignored(status: int) -> None:
    """`Retry-After` counts only with 429 and 503."""
    assert after(status, retry_after="60") == in_s(5)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("00000000005", 5.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٥", None),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
        ("Wed, 21 Oct 2015 07:28:30 +99999999999", None),
    ],
)
def test_retry_after_has_the_formats_of_http(value: str, seconds: float | None) -> None:
    """Seconds and HTTP's three date formats are read; anything else is ignored."""
    assert retry_after_s(value, NOW_MS) == seconds


def test_the_schedule_is_read_from_text() -> None:
    """The contract's default, fractions and spaces are accepted."""
    default = "5,300,1800,7200,18000,36000,36000"
    assert RetrySchedule.parse(default).delays_s == (5, 300, 1800, 7200, 18000, 36000, 36000)
    assert RetrySchedule.parse(" 0.1, 0 ,2 ").delays_s == (0.1, 0, 2)
    assert str(RetrySchedule.parse(default)) == default
    assert str(RetrySchedule.parse("0.1,0,2000000")) == "0.1,0,2000000"


@pytest.mark.parametrize("text", ["", " ", "none", " None\n", "NONE"])
def test_a_schedule_can_have_no_retries(text: str) -> None:
    """Its text is `none`, which is read as the same schedule."""
    schedule = RetrySchedule.parse(text)

    assert schedule == RetrySchedule(())
    assert str(schedule) == "none"


@pytest.mark.parametrize("text", ["none,5", "5,", "5;300", "five", "-1", "1e9", "5,nan", "inf", "9999999999", "٥"])
def test_an_invalid_schedule_is_refused(text: str) -> None:
    """Anything but a list of seconds is refused, and the error shows an example."""
    with pytest.raises(InvalidInput, match="5,300,1800") as caught:
        RetrySchedule.parse(text)
    assert caught.value.problems[0][0] == "/retry_schedule"


@pytest.mark.parametrize("delays", [(-1.0,), (float("nan"),), (float("inf"),), (1e9,), (1.0,) * 101])
def test_a_schedule_out_of_bounds_cannot_exist(delays: tuple[float, ...]) -> None:
    """Delays are 0 to 30 days, and there are at most 100."""
    with pytest.raises(InvalidInput, match="at most 100 delays"):
        RetrySchedule(delays)


def test_an_empty_schedule_means_one_attempt() -> None:
    """Without delays the first failure is final."""
    assert decide(500, None, None, 1, NOW_MS, RetrySchedule(()), 0.0) == DEAD
