"""Lanes with failing handlers, in virtual time: breaker, giving up, order and replays, also across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.delivery import OfferedDelivery
from domain.errors import Conflict
from domain.verification import file_content, file_locations
from tests.loop_commands import PAUSE, RESUME, VERIFY, cancel, change, replay, retry, sample
from tests.loop_simulation import LoopSimulation, make_template


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[LoopSimulation]:
    """An active loop."""
    simulation = LoopSimulation(*make_template(tmp_path))
    simulation.run(simulation.starting)
    yield simulation
    simulation.close()
    assert not simulation.broken


def record_events(simulation: LoopSimulation, count: int = 1, *, offered: bool = True) -> list[int]:
    """Records events and returns the ids of their deliveries."""
    offers: list[OfferedDelivery] = simulation.run(simulation.record(count))
    if offered:
        simulation.call(lambda runtime: runtime.offer(offers))
    return [offer.delivery_id for offer in offers]


def wait(simulation: LoopSimulation, seconds: float) -> None:
    simulation.run(asyncio.sleep(seconds))


def restart(simulation: LoopSimulation, schedule: str | None = None, disable_after_s: float | None = None) -> None:
    """Restarts the runtime with other service settings."""
    simulation.schedule = schedule or simulation.schedule
    simulation.disable_after_s = disable_after_s or simulation.disable_after_s
    simulation.run(simulation.crash())
    simulation.run(simulation.starting)


def attempts(simulation: LoopSimulation, delivery_id: int) -> list[tuple[int, int | None, str | None]]:
    """Number, status and error of each attempt."""
    return simulation.rows(f"SELECT no, status, error FROM attempts WHERE delivery_id = {delivery_id} ORDER BY no")


def states(simulation: LoopSimulation) -> list[int]:
    return [state for (state,) in simulation.rows("SELECT state FROM deliveries ORDER BY id")]


def arrivals(simulation: LoopSimulation) -> list[int]:
    """Deliveries that arrived, in the order of their first arrival."""
    return list(simulation.arrived)


# --- immediate second attempts


@pytest.mark.parametrize("failure", ["connect", "disconnect", "hang", "500"])
def test_each_step_of_the_schedule_is_one_attempt(simulation: LoopSimulation, failure: str) -> None:
    """However a delivery fails, it is retried on the schedule, even across a crash; then it is dead."""
    restart(simulation, "30,30")
    simulation.handler.usual = failure
    delivery = record_events(simulation)[0]
    wait(simulation, 20)

    assert [no for no, _, _ in attempts(simulation, delivery)] == [1]

    simulation.run(simulation.crash())
    wait(simulation, 200)

    assert [no for no, _, _ in attempts(simulation, delivery)] == [1, 2, 3]
    assert simulation.state(delivery) == 2


# --- the breaker


def test_a_handler_that_is_down_is_probed(simulation: LoopSimulation) -> None:
    """A few failures, then one POST at a time; the others use no attempts, and arrive when the handler recovers."""
    restart(simulation, "1,1,1,1,1,1,1,1,1,1,1,1")
    simulation.handler.usual = "500"
    record_events(simulation, 200)
    wait(simulation, 1)
    began = len(simulation.handler.starts)

    assert began <= 16 + 5

    wait(simulation, 120)

    assert len(simulation.handler.starts) - began <= 9
    assert simulation.rows("SELECT count(*) FROM deliveries WHERE attempts = 0 AND state = 0")[0][0] >= 170

    simulation.handler.usual = "ok"
    began = len(simulation.handler.starts)
    wait(simulation, 70)

    assert set(states(simulation)) == {1}

    # The handler warmed up: 1, 2, 4, … POSTs began together.
    starts = simulation.handler.starts[began:]
    assert [sum(abs(s - start) < 0.001 for s in starts) for start in starts[:4]] == [1, 1, 2, 2]


def test_an_open_breaker_outlives_the_process(simulation: LoopSimulation) -> None:
    """After a restart the next POST is the probe, when it is due, and live events wait for it."""
    simulation.handler.usual = "500"
    record_events(simulation, 50)
    wait(simulation, 100)
    health = simulation.reader.health(simulation.loop_no)

    assert health.breaker == "open"

    simulation.run(simulation.crash())
    simulation.run(simulation.starting)
    simulation.handler.starts.clear()
    record_events(simulation, 50)
    wait(simulation, 5)

    assert len(simulation.handler.starts) <= 1

    view = simulation.run(simulation.runtime.handle(PAUSE))

    assert (view.health.breaker, view.health.failing_since_ms) == ("open", health.failing_since_ms)
    assert view.health.failures >= health.failures

    simulation.handler.usual = "ok"
    view = simulation.run(simulation.runtime.handle(RESUME))

    assert (view.health.breaker, view.health.failures) == ("closed", 0)

    wait(simulation, 2)

    assert set(states(simulation)) == {1}
    assert simulation.reader.health(simulation.loop_no).breaker == "closed"


def test_refused_events_do_not_stop_a_handler(simulation: LoopSimulation) -> None:
    """A handler that rejects events is not down: it gets all of them."""
    simulation.handler.usual = "422"
    record_events(simulation, 100)
    wait(simulation, 1)

    assert len(simulation.handler.starts) >= 100
    assert simulation.breaker == "closed"


def test_retry_after(simulation: LoopSimulation) -> None:
    """A busy handler gets no POSTs for as long as it asks."""
    restart(simulation, "1,1,1")
    simulation.handler.next.extend(["429"] * 5)
    record_events(simulation, 5)
    wait(simulation, 6)

    assert len(simulation.handler.starts) == 5

    wait(simulation, 10)

    assert states(simulation) == [1] * 5


@pytest.mark.parametrize("answer", ["connect", "disconnect", "500", "429", "hang"])
def test_without_a_schedule_there_is_one_attempt(simulation: LoopSimulation, answer: str) -> None:
    """Not even a connection that broke at once is tried again."""
    restart(simulation, "none")
    simulation.handler.usual = answer
    record_events(simulation, 2)
    wait(simulation, 100)

    assert simulation.rows("SELECT state, attempts FROM deliveries") == [(2, 1), (2, 1)]


# --- giving up


def test_uninterrupted_failures_disable_a_loop_across_restarts(simulation: LoopSimulation) -> None:
    """The time counts across restarts; a resumed loop has its backlog and all of its time again."""
    restart(simulation, "5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5", disable_after_s=100)
    simulation.handler.usual = "500"
    record_events(simulation, 30)
    wait(simulation, 60)
    restart(simulation)
    wait(simulation, 130)
    row = simulation.reader.loop(simulation.loop_id)

    assert row is not None
    assert (row.state, row.disabled_reason) == ("disabled", "every delivery has failed for 1.67 minutes")

    began = len(simulation.handler.starts)
    wait(simulation, 200)

    assert len(simulation.handler.starts) == began

    simulation.run(simulation.runtime.handle(RESUME))
    wait(simulation, 60)
    row = simulation.reader.loop(simulation.loop_id)

    assert row is not None
    assert row.state == "active"

    simulation.handler.usual = "ok"
    wait(simulation, 100)

    assert states(simulation).count(1) >= 25
    assert 0 not in states(simulation)


def loop_state(simulation: LoopSimulation) -> str:
    row = simulation.reader.loop(simulation.loop_id)
    assert row is not None
    return row.state


def test_a_disabled_loop_shows_its_last_error(simulation: LoopSimulation) -> None:
    """The error is recorded before the loop is disabled."""
    simulation.handler.usual = "410"
    record_events(simulation)
    while loop_state(simulation) == "active":
        wait(simulation, 0.0005)

    assert simulation.reader.health(simulation.loop_no).last_error == "410 Gone"


def test_silence_does_not_count(simulation: LoopSimulation) -> None:
    """After a death and a long silence, one failure does not disable the loop: nothing waited in between."""
    restart(simulation, "1", disable_after_s=100)
    simulation.handler.usual = "500"
    record_events(simulation)
    wait(simulation, 1000)

    assert states(simulation) == [2]
    assert 900 < simulation.reader.health(simulation.loop_no).failing_ms < 2000

    record_events(simulation)
    wait(simulation, 0.5)
    simulation.handler.usual = "ok"
    wait(simulation, 5)

    assert (loop_state(simulation), states(simulation)) == ("active", [2, 1])


def test_a_long_wait_for_a_retry_counts(simulation: LoopSimulation) -> None:
    """The loop is disabled during the wait, also when only that one delivery failed."""
    restart(simulation, "5,1000", disable_after_s=100)
    simulation.handler.usual = "422"
    record_events(simulation)
    wait(simulation, 99)

    assert loop_state(simulation) == "active"

    wait(simulation, 2)

    assert (loop_state(simulation), states(simulation)) == ("disabled", [0])


def test_only_time_in_service_counts(simulation: LoopSimulation) -> None:
    """Pauses, time when the service or its ledger is down, and a changed time of day do not count."""
    restart(simulation, "2000,2000", disable_after_s=100)
    simulation.handler.usual = "500"
    record_events(simulation)
    wait(simulation, 20)
    simulation.run(simulation.runtime.handle(PAUSE))
    wait(simulation, 300)
    simulation.ledger.is_away = simulation.reader.is_away = True
    simulation.run(simulation.runtime.stop(2.0))
    wait(simulation, 300)
    simulation.ledger.is_away = simulation.reader.is_away = False
    restart(simulation)
    simulation.clock.set_by_ms += 86_400_000
    wait(simulation, 10)
    simulation.clock.set_by_ms -= 2 * 86_400_000
    wait(simulation, 10)

    assert loop_state(simulation) == "paused"
    assert 19_000 <= simulation.reader.health(simulation.loop_no).failing_ms <= 21_000


def test_an_outage_of_the_ledger_does_not_count(simulation: LoopSimulation) -> None:
    """While no retry could be recorded, the handler is not to blame."""
    restart(simulation, "2000", disable_after_s=100)
    simulation.handler.usual = "500"
    record_events(simulation)
    wait(simulation, 31)
    simulation.reader.is_away = True
    wait(simulation, 600)
    simulation.reader.is_away = False
    wait(simulation, 40)

    assert loop_state(simulation) == "active"

    wait(simulation, 40)

    assert loop_state(simulation) == "disabled"


@pytest.mark.parametrize("forgive", ["success", "sample", "resume", "url"])
def test_what_sets_the_time_to_0(simulation: LoopSimulation, forgive: str) -> None:
    """A success, a successful test, `resume` and a new URL give the handler all of its time again."""
    restart(simulation, "1000", disable_after_s=100)
    simulation.handler.next.append("500")
    record_events(simulation)
    wait(simulation, 80)
    if forgive == "success":
        record_events(simulation)
    elif forgive == "sample":
        assert simulation.run(simulation.runtime.handle(sample("open", {}))).status == 200
    elif forgive == "resume":
        simulation.run(simulation.runtime.handle(PAUSE))
        simulation.run(simulation.runtime.handle(RESUME))
    else:
        view = simulation.run(simulation.runtime.handle(change({"url": "https://other.example/x"})))
        assert (view.health.failures, view.health.failing_ms) == (0, 0)
        token = view.verification_token
        simulation.proof_fetcher.files[file_locations(view.url, token)[0]] = file_content(token).encode()
        assert simulation.run(simulation.runtime.handle(VERIFY)).verified
    wait(simulation, 90)

    assert loop_state(simulation) == "active"

    wait(simulation, 20)

    assert loop_state(simulation) == "disabled"


# --- order


def test_order_through_a_restart(simulation: LoopSimulation) -> None:
    """A failed delivery still goes first after a restart, although its retry is due later than the others."""
    restart(simulation, "30")
    simulation.ordered = True
    simulation.run(simulation.runtime.handle(change({"ordered": True})))
    simulation.handler.next.append("500")
    recorded = record_events(simulation, 5)
    wait(simulation, 1)
    simulation.run(simulation.crash())
    recorded += record_events(simulation, 2)
    wait(simulation, 20)

    assert arrivals(simulation) == []

    wait(simulation, 20)

    assert arrivals(simulation) == recorded


def test_order_through_a_pause_and_a_change(simulation: LoopSimulation) -> None:
    """When it is resumed, or becomes ordered, the loop starts with the delivery that was recorded first."""
    restart(simulation, "30")
    simulation.handler.next.append("500")
    recorded = record_events(simulation)
    wait(simulation, 1)
    simulation.ordered = True
    simulation.run(simulation.runtime.handle(change({"ordered": True})))
    recorded += record_events(simulation, 3)
    wait(simulation, 5)
    simulation.may_post = False
    simulation.run(simulation.runtime.handle(PAUSE))
    wait(simulation, 5)
    simulation.may_post = True
    simulation.run(simulation.runtime.handle(RESUME))
    wait(simulation, 5)

    assert arrivals(simulation) == []

    wait(simulation, 30)

    assert arrivals(simulation) == recorded


def test_a_loop_that_becomes_ordered_during_a_retry(simulation: LoopSimulation) -> None:
    """A delivery that failed without order does not overtake an earlier one that still waits in the outbox."""
    simulation.loop.thread_s = 0.06
    simulation.handler.next.extend(["500", "422", "connect"])
    simulation.run(simulation.runtime.handle(change({"ordered": True, "rate_limit": 3})))
    recorded = record_events(simulation, 3, offered=False)
    wait(simulation, 0.5)
    simulation.run(simulation.runtime.handle(change({"ordered": False})))
    wait(simulation, 0.5)
    simulation.run(simulation.runtime.handle(change({"ordered": True, "rate_limit": None})))
    simulation.ordered = True
    wait(simulation, 30)

    assert arrivals(simulation) == recorded


# --- fairness


def test_live_events_do_not_wait_for_the_backlog(simulation: LoopSimulation) -> None:
    """A live event waits for only a few of thousands that wait for a handler with a concurrency of one."""
    simulation.max_concurrency = 1
    simulation.run(simulation.runtime.handle(change({"max_concurrency": 1})))
    record_events(simulation, 3000, offered=False)
    wait(simulation, 5)
    before = len(arrivals(simulation))
    fresh = record_events(simulation)[0]
    wait(simulation, 0.1)

    assert before < 2000
    assert arrivals(simulation).index(fresh) - before <= 4

    wait(simulation, 60)

    assert set(states(simulation)) == {1}


# --- clock changes


def test_a_clock_that_is_set_back(simulation: LoopSimulation) -> None:
    """Retries come when they were due, and live events at once."""
    restart(simulation, "5")
    simulation.handler.next.append("500")
    first = record_events(simulation)[0]
    wait(simulation, 1)
    simulation.clock.set_by_ms -= 3_600_000
    second = record_events(simulation, offered=False)[0]
    wait(simulation, 2)

    assert arrivals(simulation) == [second]

    wait(simulation, 4)

    assert arrivals(simulation) == [second, first]


# --- replays


def all_dead(simulation: LoopSimulation, count: int) -> list[int]:
    simulation.schedule = "0"
    simulation.run(simulation.crash())
    simulation.run(simulation.starting)
    simulation.handler.usual = "422"
    recorded = record_events(simulation, count, offered=False)
    wait(simulation, 2 + count / 100)

    assert set(states(simulation)) == {2}

    simulation.handler.usual = "ok"
    return recorded


def start(simulation: LoopSimulation, which: str = "dead") -> Any:
    return simulation.run(simulation.runtime.handle(replay(which, 0, simulation.clock.now_ms() + 1)))


def test_a_replay(simulation: LoopSimulation) -> None:
    """Dead deliveries arrive, with attempts numbered on; the replay ends, and another one can start."""
    recorded = all_dead(simulation, 20)
    replay = start(simulation)
    with pytest.raises(Conflict):
        start(simulation)
    wait(simulation, 5)
    row = simulation.reader.replay(simulation.loop_no, int(replay.id.removeprefix("rpl_")))

    assert (replay.state, replay.count, replay.which) == ("running", 20, "dead")
    assert row is not None
    assert (row.state, row.done) == ("done", 20)
    assert set(states(simulation)) == {1}
    assert [a[:2] for a in attempts(simulation, recorded[0])] == [(1, 422), (2, 422), (3, 200)]

    assert start(simulation, "all").count == 20

    wait(simulation, 5)

    assert simulation.arrived[recorded[0]] == 2


def test_a_replay_waits_and_continues(simulation: LoopSimulation) -> None:
    """A replay waits while the loop is paused; a restart neither repeats nor loses deliveries."""
    all_dead(simulation, 1700)
    simulation.may_post = False
    simulation.run(simulation.runtime.handle(PAUSE))
    start(simulation)
    wait(simulation, 5)

    assert set(states(simulation)) == {2}

    simulation.may_post = True
    simulation.run(simulation.runtime.handle(RESUME))
    most = 0
    for _ in range(300):
        wait(simulation, 0.01)
        most = max(most, states(simulation).count(0))
        if 1 in states(simulation) and simulation.incarnation == 2:
            simulation.run(simulation.crash())
    wait(simulation, 20)

    assert simulation.incarnation == 3
    assert most <= 1000
    assert set(states(simulation)) == {1}
    assert simulation.reader.running_replay(simulation.loop_no) is None


def test_cancelling_a_replay(simulation: LoopSimulation) -> None:
    """The replay ends at once: only deliveries that it made due arrive; cancelling it again changes nothing."""
    all_dead(simulation, 1700)
    simulation.handler.usual = "slow"
    replay = start(simulation)
    wait(simulation, 1)
    number = int(replay.id.removeprefix("rpl_"))
    cancelled = simulation.run(simulation.runtime.handle(cancel(number)))
    again = simulation.run(simulation.runtime.handle(cancel(number)))
    simulation.handler.usual = "ok"
    wait(simulation, 60)

    assert (cancelled.state, cancelled.done) == ("cancelled", 500)
    assert again == cancelled
    assert sorted(set(states(simulation))) == [1, 2]
    assert states(simulation).count(1) == 500


def test_retrying_one(simulation: LoopSimulation) -> None:
    """A retried delivery is due at once, with a new schedule; during an attempt the command raises Conflict."""
    recorded = all_dead(simulation, 2)
    simulation.handler.next.extend(["422", "hang"])
    simulation.run(simulation.runtime.handle(retry(recorded[0])))
    wait(simulation, 3)
    with pytest.raises(Conflict, match="in progress"):
        simulation.run(simulation.runtime.handle(retry(recorded[0])))
    wait(simulation, 5)

    assert states(simulation) == [2, 2]
    assert len(attempts(simulation, recorded[0])) == 4

    simulation.run(simulation.runtime.handle(retry(recorded[1])))
    wait(simulation, 1)
    simulation.run(simulation.runtime.handle(retry(recorded[1])))
    wait(simulation, 1)

    assert simulation.arrived[recorded[1]] == 2


def test_retrying_one_that_succeeds_meanwhile(simulation: LoopSimulation) -> None:
    """A delivery that succeeds while a retry reads it from the ledger is not sent a second time."""
    simulation.loop.thread_s = 0.06
    simulation.run(simulation.runtime.handle(change({"max_concurrency": 1})))
    first, second = record_events(simulation, 2)
    simulation.run(simulation.runtime.handle(retry(second)))
    wait(simulation, 1)

    assert arrivals(simulation) == [first, second]


def test_retrying_the_head_of_the_line(simulation: LoopSimulation) -> None:
    """The first delivery of an ordered loop is retried now, and the others follow."""
    restart(simulation, "3600")
    simulation.ordered = True
    simulation.run(simulation.runtime.handle(change({"ordered": True})))
    simulation.handler.next.append("500")
    recorded = record_events(simulation, 3)
    wait(simulation, 5)
    simulation.run(simulation.runtime.handle(retry(recorded[0])))
    wait(simulation, 1)

    assert arrivals(simulation) == recorded
