"""`domain.breaker`: permission for a loop to start attempts."""

from __future__ import annotations

import pytest

from domain.breaker import FAILURES_TO_OPEN, Breaker, is_down
from domain.delivery import LaneHealth


def a_breaker(health: LaneHealth | None = None, now_ms: int = 0, max_concurrency: int = 16) -> Breaker:
    return Breaker(health or LaneHealth(), now_ms, max_concurrency)


def fail(breaker: Breaker, now_ms: int, times: int = 1, probe: int = 0, retry_after_s: float = 0.0) -> None:
    for _ in range(times):
        breaker.fail(now_ms, probe=probe, is_down=True, retry_after_s=retry_after_s)


def opened(now_ms: int = 0) -> Breaker:
    breaker = a_breaker()
    fail(breaker, now_ms, FAILURES_TO_OPEN)
    return breaker


@pytest.mark.parametrize(
    ("status", "down"), [(None, True), (500, True), (302, True), (429, True), (408, True), (404, False), (410, False)]
)
def test_which_failures_mean_that_the_handler_is_down(status: int | None, down: bool) -> None:
    """No response, redirects, 5xx and "try later" do; a rejected event does not."""
    assert is_down(status) == down


def test_a_run_of_failures_opens_it() -> None:
    """The fifth failure in a row opens it, unless a response came in between; until then nothing is delayed."""
    breaker = a_breaker()
    fail(breaker, 1, FAILURES_TO_OPEN - 1)
    breaker.fail(2, probe=0, is_down=False)
    fail(breaker, 3, FAILURES_TO_OPEN - 1)
    breaker.succeed(4)
    fail(breaker, 5, FAILURES_TO_OPEN - 1)

    assert (breaker.is_open, breaker.is_alert, breaker.room(99)) == (False, False, None)

    fail(breaker, 6)

    assert (breaker.is_open, breaker.is_alert, breaker.room(99)) == (True, True, 1)
    assert breaker.health == LaneHealth("open", 5, 4, 6, FAILURES_TO_OPEN, 1006)


def test_probes_come_at_growing_intervals() -> None:
    """One probe at a time: after 1 s, 2 s, 4 s and so on up to a minute, with 10 % of jitter."""
    breaker, now_ms, waits = opened(), 0, []
    for _ in range(8):
        waits.append(breaker.wait_ms(now_ms))
        now_ms += waits[-1]
        probe = breaker.begin()

        assert breaker.wait_ms(now_ms) == 0
        assert breaker.room(0) == 0

        fail(breaker, now_ms, probe=probe)
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]

    spread = a_breaker()
    for _ in range(FAILURES_TO_OPEN):
        spread.fail(0, probe=0, is_down=True, jitter=0.0)
    assert spread.wait_ms(0) == 900


def test_earlier_attempts_do_not_lengthen_the_interval() -> None:
    """Only a failure of the current probe does, not of earlier attempts or probes."""
    breaker = opened()
    fail(breaker, 10, 20)

    assert breaker.wait_ms(0) == 1000

    former = breaker.begin()
    breaker.succeed(20)
    fail(breaker, 30, FAILURES_TO_OPEN)
    probe = breaker.begin()
    fail(breaker, 40, probe=former)

    assert breaker.room(0) == 0
    assert breaker.wait_ms(30) == 1000

    fail(breaker, 50, probe=probe)

    assert breaker.wait_ms(50) == 2000


def test_retry_after_holds_probes_back() -> None:
    """Retry-After of any attempt delays the next probe if it is longer than the interval."""
    breaker = a_breaker()
    fail(breaker, 0, FAILURES_TO_OPEN, retry_after_s=600)

    assert breaker.wait_ms(0) == 600_000

    fail(breaker, 1000, retry_after_s=3600)

    assert breaker.wait_ms(1000) == 3_600_000


@pytest.mark.parametrize("answers_with_success", [True, False])
def test_the_handler_warms_up_after_a_response(answers_with_success: bool) -> None:
    """The first response closes it; then 1, 2, 4, … attempts may be in flight, up to the loop's concurrency."""
    breaker = opened()
    probe = breaker.begin()
    if answers_with_success:
        breaker.succeed(1000)
    else:
        breaker.fail(1000, probe=probe, is_down=False)
    rooms = []
    while (room := breaker.room(0)) is not None:
        rooms.append(room)
        for _ in range(room):
            breaker.succeed(1001)

    assert not breaker.is_open
    assert rooms == [1, 2, 4, 8]
    assert not breaker.is_alert
    assert breaker.health.next_probe_ms is None


def test_attempts_in_flight_count_during_the_warm_up() -> None:
    """Attempts that began earlier count."""
    breaker = opened()
    breaker.begin()
    breaker.succeed(1)

    assert (breaker.room(0), breaker.room(1), breaker.room(7)) == (1, 0, 0)


def test_a_restart_keeps_the_state() -> None:
    """An open breaker stays open with its probe time and interval; a clock set back does not prolong the wait."""
    breaker = opened()
    for now_ms in (1000, 3000, 7000):
        fail(breaker, now_ms, probe=breaker.begin())
    health = breaker.health

    assert health.next_probe_ms == 15_000
    assert a_breaker(health, 9000).wait_ms(9000) == 6000
    assert a_breaker(health, 90_000).wait_ms(90_000) == 0
    assert a_breaker(health, -3_600_000).wait_ms(-3_600_000) == 8000

    again = a_breaker(health, 15_000)
    fail(again, 15_000, probe=again.begin())

    assert again.wait_ms(15_000) == 16_000
    assert again.health.failing_since_ms == 0


def test_figures_about_failures() -> None:
    """Failures count, 4xx too, until a success or until they are forgiven; the last error stays."""
    breaker = a_breaker()
    breaker.fail(100, probe=0, is_down=False, error="422 Unprocessable Content")
    breaker.fail(700, probe=0, is_down=True, error="503 Service Unavailable")
    breaker.failing_ms = 600

    assert breaker.health == LaneHealth("closed", 100, None, 700, 2, None, 600, "503 Service Unavailable")

    breaker.succeed(800)

    assert breaker.health == LaneHealth("closed", None, 800, 700, 0, None, 0, "503 Service Unavailable")

    fail(breaker, 900, 9)
    breaker.failing_ms = 5
    breaker.forgive()

    assert breaker.health == LaneHealth("closed", None, 800, 900, 0, None)
    assert not breaker.is_alert
