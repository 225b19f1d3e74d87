"""A lane whose handler fails, in virtual time: breaker, giving up, order, replays, and all of it through restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.delivery import OfferedDelivery
from domain.errors import Conflict
from tests.lane_world import LaneWorld, make_template
from tests.loop_commands import PAUSE, RESUME, cancel, change, replay, retry


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LaneWorld]:
    """A loop that is delivered to."""
    world = LaneWorld(*make_template(tmp_path))
    world.run(world.starting)
    yield world
    world.close()
    assert not world.broken


def owe(world: LaneWorld, count: int = 1, *, offered: bool = True) -> list[int]:
    """Records events, and gives their deliveries' ids."""
    offers: list[OfferedDelivery] = world.run(world.record(count))
    if offered:
        world.tell(lambda runtime: runtime.offer(offers))
    return [offer.delivery_id for offer in offers]


def wait(world: LaneWorld, seconds: float) -> None:
    world.run(asyncio.sleep(seconds))


def restart(world: LaneWorld, schedule: str | None = None, disable_after_s: float | None = None) -> None:
    """Another life of the runtime, with other settings of the service."""
    world.schedule = schedule or world.schedule
    world.disable_after_s = disable_after_s or world.disable_after_s
    world.run(world.crash())
    world.run(world.starting)


def attempts(world: LaneWorld, delivery_id: int) -> list[tuple[int, int | None, str | None]]:
    """Number, status and error of each."""
    return world.rows(f"SELECT no, status, error FROM attempts WHERE delivery_id = {delivery_id} ORDER BY no")


def states(world: LaneWorld) -> list[int]:
    return [state for (state,) in world.rows("SELECT state FROM deliveries ORDER BY id")]


def arrivals(world: LaneWorld) -> list[int]:
    """Deliveries that arrived, in the order in which they did first."""
    return list(world.arrived)


# --- once more at once


def test_a_connection_that_breaks_at_once(world: LaneWorld) -> None:
    """It is tried once more at once, and both are attempts; a schedule of one retry has that one still."""
    restart(world, "30")
    world.handler.next.extend(["disconnect", "ok", "connect", "connect", "ok"])
    first = owe(world)[0]
    wait(world, 0.5)

    assert attempts(world, first) == [(1, None, "disconnect"), (2, 200, None)]

    second = owe(world)[0]
    wait(world, 1)

    assert attempts(world, second) == [(1, None, "connect"), (2, None, "connect")]
    assert world.state(second) == 0

    wait(world, 40)

    assert attempts(world, second)[2:] == [(3, 200, None)]


def test_turns_are_counted_and_not_attempts(world: LaneWorld) -> None:
    """Each turn of the schedule has its second attempt at once, restarts or not; after the last turn it is dead."""
    restart(world, "30,30")
    world.handler.usual = "connect"
    delivery = owe(world)[0]
    wait(world, 5)
    world.run(world.crash())
    wait(world, 200)

    assert [no for no, _, _ in attempts(world, delivery)] == [1, 2, 3, 4, 5, 6]
    assert world.state(delivery) == 2


def test_what_hangs_is_not_tried_at_once(world: LaneWorld) -> None:
    """Only connections that broke, and only within a second."""
    restart(world, "30")
    world.handler.usual = "hang"
    delivery = owe(world)[0]
    wait(world, 20)

    assert len(attempts(world, delivery)) == 1


# --- the breaker


def test_a_handler_that_is_down_is_probed(world: LaneWorld) -> None:
    """A few failures, then one POST at a time; the others have used up no attempt, and come through when it is well."""
    restart(world, "1,1,1,1,1,1,1,1,1,1,1,1")
    world.handler.usual = "500"
    owe(world, 200)
    wait(world, 1)
    began = len(world.handler.starts)

    assert began <= 16 + 5

    wait(world, 120)

    assert len(world.handler.starts) - began <= 9
    assert world.rows("SELECT count(*) FROM deliveries WHERE attempts = 0 AND state = 0")[0][0] >= 170

    world.handler.usual = "ok"
    began = len(world.handler.starts)
    wait(world, 70)

    assert set(states(world)) == {1}

    # It warmed up: no more than 1, 2, 4, … began together.
    starts = world.handler.starts[began:]
    assert [sum(abs(s - start) < 0.001 for s in starts) for start in starts[:4]] == [1, 1, 2, 2]


def test_an_open_breaker_outlives_the_process(world: LaneWorld) -> None:
    """A restart is not a reason to hammer: the next POST is the probe, when it is due, and live events wait for it."""
    world.handler.usual = "500"
    owe(world, 50)
    wait(world, 100)
    health = world.reader.health(world.loop_no)

    assert health.breaker == "open"

    world.run(world.crash())
    world.run(world.starting)
    world.handler.starts.clear()
    owe(world, 50)
    wait(world, 5)

    assert len(world.handler.starts) <= 1

    view = world.run(world.runtime.pause(PAUSE))

    assert (view.health.breaker, view.health.failing_since_ms) == ("open", health.failing_since_ms)
    assert view.health.failures >= health.failures

    world.handler.usual = "ok"
    view = world.run(world.runtime.resume(RESUME))

    assert (view.health.breaker, view.health.failures) == ("closed", 0)

    wait(world, 2)

    assert set(states(world)) == {1}
    assert world.reader.health(world.loop_no).breaker == "closed"


def test_refused_events_do_not_stop_a_handler(world: LaneWorld) -> None:
    """A handler that dislikes events is not down: it gets them all."""
    world.handler.usual = "422"
    owe(world, 100)
    wait(world, 1)

    assert len(world.handler.starts) >= 100
    assert world.breaker == "closed"


def test_retry_after(world: LaneWorld) -> None:
    """A handler that is too busy is left alone for as long as it asks."""
    restart(world, "1,1,1")
    world.handler.next.extend(["429"] * 5)
    owe(world, 5)
    wait(world, 6)

    assert len(world.handler.starts) == 5

    wait(world, 10)

    assert states(world) == [1] * 5


# --- giving up


def test_failures_alone_disable_a_loop_through_restarts(world: LaneWorld) -> None:
    """The time goes on in another process; resumed, the loop has its backlog and all of its time again."""
    restart(world, "5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5", disable_after_s=100)
    world.handler.usual = "500"
    owe(world, 30)
    wait(world, 60)
    restart(world)
    wait(world, 130)
    row = world.reader.loop(world.loop_id)

    assert row is not None
    assert (row.state, row.disabled_reason) == ("disabled", "every delivery has failed for 1.67 minutes")

    began = len(world.handler.starts)
    wait(world, 200)

    assert len(world.handler.starts) == began

    world.run(world.runtime.resume(RESUME))
    wait(world, 60)
    row = world.reader.loop(world.loop_id)

    assert row is not None
    assert row.state == "active"

    world.handler.usual = "ok"
    wait(world, 100)

    assert states(world).count(1) >= 25
    assert 0 not in states(world)


# --- order


def test_order_through_a_restart(world: LaneWorld) -> None:
    """What failed is first again in another process, though its retry is due later than all the others are."""
    restart(world, "30")
    world.ordered = True
    world.run(world.runtime.change(change({"ordered": True})))
    world.handler.next.append("500")
    owed = owe(world, 5)
    wait(world, 1)
    world.run(world.crash())
    owed += owe(world, 2)
    wait(world, 20)

    assert arrivals(world) == []

    wait(world, 20)

    assert arrivals(world) == owed


def test_order_through_a_pause_and_a_change(world: LaneWorld) -> None:
    """Paused and resumed, or ordered only now, the loop begins with what was recorded first."""
    restart(world, "30")
    world.handler.next.append("500")
    owed = owe(world)
    wait(world, 1)
    world.ordered = True
    world.run(world.runtime.change(change({"ordered": True})))
    owed += owe(world, 3)
    wait(world, 5)
    world.may_post = False
    world.run(world.runtime.pause(PAUSE))
    wait(world, 5)
    world.may_post = True
    world.run(world.runtime.resume(RESUME))
    wait(world, 5)

    assert arrivals(world) == []

    wait(world, 30)

    assert arrivals(world) == owed


# --- fairness


def test_live_events_do_not_wait_for_the_backlog(world: LaneWorld) -> None:
    """With thousands waiting for a handler that takes one at a time, a fresh event waits for a few of them."""
    world.max_concurrency = 1
    world.run(world.runtime.change(change({"max_concurrency": 1})))
    owe(world, 3000, offered=False)
    wait(world, 5)
    before = len(arrivals(world))
    fresh = owe(world)[0]
    wait(world, 0.1)

    assert before < 2000
    assert arrivals(world).index(fresh) - before <= 4

    wait(world, 60)

    assert set(states(world)) == {1}


# --- a clock that is set


def test_a_clock_that_is_set_back(world: LaneWorld) -> None:
    """Retries come when they would have come, and fresh events at once."""
    restart(world, "5")
    world.handler.next.append("500")
    first = owe(world)[0]
    wait(world, 1)
    world.clock.set_by_ms -= 3_600_000
    second = owe(world, offered=False)[0]
    wait(world, 2)

    assert arrivals(world) == [second]

    wait(world, 4)

    assert arrivals(world) == [second, first]


# --- replays


def all_dead(world: LaneWorld, count: int) -> list[int]:
    world.schedule = "0"
    world.run(world.crash())
    world.run(world.starting)
    world.handler.usual = "422"
    owed = owe(world, count, offered=False)
    wait(world, 2 + count / 100)

    assert set(states(world)) == {2}

    world.handler.usual = "ok"
    return owed


def start(world: LaneWorld, which: str = "dead") -> Any:
    return world.run(world.runtime.replay(replay(which, 0, world.clock.now_ms() + 1)))


def test_a_replay(world: LaneWorld) -> None:
    """Dead deliveries are delivered after all, with attempts counted on; the replay ends, and another may begin."""
    owed = all_dead(world, 20)
    replay = start(world)
    with pytest.raises(Conflict):
        start(world)
    wait(world, 5)
    row = world.reader.replay(world.loop_no, int(replay.id.removeprefix("rpl_")))

    assert (replay.state, replay.count, replay.which) == ("running", 20, "dead")
    assert row is not None
    assert (row.state, row.done) == ("done", 20)
    assert set(states(world)) == {1}
    assert [a[:2] for a in attempts(world, owed[0])] == [(1, 422), (2, 422), (3, 200)]

    assert start(world, "all").count == 20

    wait(world, 5)

    assert world.arrived[owed[0]] == 2


def test_a_replay_waits_and_goes_on(world: LaneWorld) -> None:
    """While the loop is paused it gives nothing back; a restart in the midst of it neither repeats nor forgets."""
    all_dead(world, 1700)
    world.may_post = False
    world.run(world.runtime.pause(PAUSE))
    start(world)
    wait(world, 5)

    assert set(states(world)) == {2}

    world.may_post = True
    world.run(world.runtime.resume(RESUME))
    most = 0
    for _ in range(300):
        wait(world, 0.01)
        most = max(most, states(world).count(0))
        if 1 in states(world) and world.life == 2:
            world.run(world.crash())
    wait(world, 20)

    assert world.life == 3
    assert most <= 1000
    assert set(states(world)) == {1}
    assert world.reader.running_replay(world.loop_no) is None


def test_cancelling_a_replay(world: LaneWorld) -> None:
    """It ends at once: at most what was given back is delivered; cancelling it again changes nothing."""
    all_dead(world, 1700)
    world.handler.usual = "slow"
    replay = start(world)
    wait(world, 1)
    number = int(replay.id.removeprefix("rpl_"))
    cancelled = world.run(world.runtime.cancel_replay(cancel(number)))
    again = world.run(world.runtime.cancel_replay(cancel(number)))
    world.handler.usual = "ok"
    wait(world, 60)

    assert (cancelled.state, cancelled.done) == ("cancelled", 500)
    assert again == cancelled
    assert sorted(set(states(world))) == [1, 2]
    assert states(world).count(1) == 500


def test_retrying_one(world: LaneWorld) -> None:
    """It is due at once and its schedule begins anew, whatever its state; while an attempt is on it is a Conflict."""
    owed = all_dead(world, 2)
    world.handler.next.extend(["422", "hang"])
    world.run(world.runtime.retry_delivery(retry(owed[0])))
    wait(world, 3)
    with pytest.raises(Conflict, match="under way"):
        world.run(world.runtime.retry_delivery(retry(owed[0])))
    wait(world, 5)

    assert states(world) == [2, 2]
    assert len(attempts(world, owed[0])) == 4

    world.run(world.runtime.retry_delivery(retry(owed[1])))
    wait(world, 1)
    world.run(world.runtime.retry_delivery(retry(owed[1])))
    wait(world, 1)

    assert world.arrived[owed[1]] == 2


def test_retrying_the_head_of_the_line(world: LaneWorld) -> None:
    """An ordered loop's delivery that waits for its retry is tried now, and those behind it follow."""
    restart(world, "3600")
    world.ordered = True
    world.run(world.runtime.change(change({"ordered": True})))
    world.handler.next.append("500")
    owed = owe(world, 3)
    wait(world, 5)
    world.run(world.runtime.retry_delivery(retry(owed[0])))
    wait(world, 1)

    assert arrivals(world) == owed
