"""A loop's lane under any order of events, answers, crashes, commands and changes of its settings.

The runtime is the real one, on the real ledger, in virtual time. What must hold at the start of every POST is in
`tests.lane_world.LaneWorld.check_start`; what must hold in the end is here.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from domain.errors import Conflict
from domain.values import DeliveryState
from tests.lane_world import ANSWERS, TRIES, LaneWorld, make_template

#: The longest that all may take when the handler is well again: the schedule, probes, a clock that was set back.
END_S = 1500
ANY_ANSWERS = st.lists(st.sampled_from([answer for answer in ANSWERS if answer != "410"]), max_size=12)
MOMENTS = st.sampled_from([0.0, 0.001, 0.004, 0.012, 0.1, 0.5, 2.0])


class LaneMachine(RuleBasedStateMachine):
    """Everything that may happen to a lane."""

    template: tuple[Path, str, int]

    @initialize(
        seed=st.integers(0, 3),
        ordered=st.booleans(),
        concurrency=st.sampled_from([1, 2, 16]),
        rate=st.sampled_from([0, 0, 3, 20]),
        answers=ANY_ANSWERS,
        read_s=st.sampled_from([0.002, 0.06]),
    )
    def begin(self, seed: int, ordered: bool, concurrency: int, rate: float, answers: list[str], read_s: float) -> None:
        path, loop_id, loop_no = self.template
        self.folder = Path(tempfile.mkdtemp(prefix="lane-"))
        shutil.copy(path, self.folder / "ledger.sqlite")
        self.world = LaneWorld(self.folder / "ledger.sqlite", loop_id, loop_no, seed)
        self.is_active = True
        self.world.handler.next.extend(answers)
        self.world.loop.thread_s = read_s
        self.change(concurrency, rate, ordered)

    # --- events

    @rule(
        count=st.integers(1, 12), offered=st.sampled_from(["now", "late", "never"]), answers=ANY_ANSWERS, wait=MOMENTS
    )
    def record(self, count: int, offered: str, answers: list[str], wait: float) -> None:
        self.world.handler.next.extend(answers)
        offers = self.world.run(self.world.record(count))
        if offered == "now":
            self.world.tell(lambda runtime: runtime.offer(offers))
        if offered != "never":
            self.world.late = (self.world.late + offers)[-30:]
        self.wait(wait)

    @rule(count=st.integers(1, 12), wait=MOMENTS)
    def work(self, count: int, wait: float) -> None:
        """An ordinary second, and then old offers."""
        self.record(count, "now", [], wait)
        self.offer_late()

    @rule()
    def offer_late(self) -> None:
        """Offers that were long on their way, and in another order; some for the second time."""
        offers = self.world.late[::-1]
        self.world.tell(lambda runtime: runtime.offer(offers))
        self.wait(0.02)

    # --- the handler

    @rule(answer=st.sampled_from(["ok", "ok", "slow", "500", "422", "429", "connect", "disconnect", "hang"]))
    def usual_answer(self, answer: str) -> None:
        self.world.handler.usual = answer

    @rule()
    def gone(self) -> None:
        self.world.handler.next.append("410")

    # --- time

    @rule(seconds=st.sampled_from([0.02, 0.5, 1.0, 2.5, 6.0, 15.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Lets the lane work."""
        self.world.run(asyncio.sleep(seconds))
        self.look_for_410()

    @rule(by_s=st.sampled_from([-120, 120]))
    def set_clock(self, by_s: int) -> None:
        self.world.clock.set_by_ms += by_s * 1000

    # --- the ledger, and the process

    @rule(reads=st.booleans())
    def ledger_goes(self, reads: bool) -> None:
        self.world.ledger.is_away = True
        self.world.reader.is_away = not reads

    @rule()
    def ledger_comes(self) -> None:
        self.world.ledger.is_away = False
        self.world.reader.is_away = False

    @rule(count=st.integers(0, 12), wait=MOMENTS, in_peace=st.booleans())
    def end_process(self, count: int, wait: float, in_peace: bool) -> None:
        """In the midst of work, if there is any."""
        self.record(count, "now", [], wait)
        self.world.run(self.world.restart() if in_peace else self.world.crash())

    # --- commands

    def is_here(self) -> bool:
        return not (self.world.ledger.is_away or self.world.reader.is_away)

    def command(self, work: Any) -> Any:
        """Carries a command out; refused ones change nothing."""

        async def carry_out() -> Any:
            await self.world.starting
            return await work(self.world.runtime)

        try:
            return self.world.run(carry_out())
        except Conflict:
            return None
        finally:
            self.look_for_410()

    def look_for_410(self) -> None:
        """A loop that was disabled meanwhile gets no POSTs from then on."""
        row = self.world.reader.loop(self.world.loop_id) if not self.world.reader.is_away else None
        if row is not None and row.state == "disabled":
            self.world.may_post = self.is_active = False

    @precondition(is_here)
    @rule()
    def pause(self) -> None:
        if self.command(lambda runtime: runtime.pause()):
            self.world.may_post = self.is_active = False

    @precondition(is_here)
    @rule()
    def resume(self) -> None:
        before, self.world.may_post = self.world.may_post, True
        if self.command(lambda runtime: runtime.resume()):
            self.is_active = True
            self.look_for_410()
        else:
            self.world.may_post = before and self.is_active

    @precondition(is_here)
    @rule(
        concurrency=st.one_of(st.none(), st.sampled_from([1, 2, 5, 16])),
        rate=st.one_of(st.none(), st.sampled_from([0, 0.5, 3, 20])),
        ordered=st.one_of(st.none(), st.booleans()),
    )
    def change(self, concurrency: int | None, rate: float | None, ordered: bool | None) -> None:
        world, changes = self.world, dict[str, Any]()
        former = (world.max_concurrency, world.rate_limit, world.ordered)
        if concurrency is not None:
            changes["max_concurrency"] = concurrency
            world.max_concurrency = max(concurrency, world.max_concurrency)
        if rate is not None:
            changes["rate_limit"] = rate or None
            world.rate_limit = None
        if ordered is not None:
            changes["ordered"] = ordered
            world.ordered = False
        self.command(lambda runtime: runtime.change(changes))
        world.max_concurrency = concurrency or former[0]
        if rate is not None:
            world.handler.starts.clear()
            world.rate_limit = rate or None
        world.ordered = former[2] if ordered is None else ordered

    @precondition(is_here)
    @rule(which=st.sampled_from(["dead", "all"]))
    def replay(self, which: str) -> None:
        until_ms = self.world.clock.now_ms() + 1_000_000
        self.command(lambda runtime: runtime.replay(which, 0, until_ms))

    @precondition(is_here)
    @rule()
    def cancel_replay(self) -> None:
        for (replay_id,) in self.world.rows("SELECT id FROM replays WHERE state = 'running'"):
            self.command(lambda runtime, replay_id=replay_id: runtime.cancel_replay(replay_id))

    @precondition(is_here)
    @rule(number=st.integers(0, 100))
    def retry(self, number: int) -> None:
        ids = list(self.world.delivery_of.values())
        if ids:
            self.command(lambda runtime: runtime.retry_delivery(ids[number % len(ids)]))

    # --- the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.end_well()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    def end_well(self) -> None:
        """The handler is well, the ledger is there, the loop is resumed: then everything ends delivered or dead."""
        world = self.world
        self.ledger_comes()
        world.handler.next.clear()
        world.handler.usual = "ok"
        self.wait(30)
        self.change(None, 0, None)
        self.resume()
        for _ in range(END_S // 10):
            if not world.rows("SELECT 1 FROM deliveries WHERE state = 0 LIMIT 1") and not self.replays():
                break
            self.wait(10)
        self.check_end()

    def replays(self) -> list[Any]:
        return self.world.rows("SELECT 1 FROM replays WHERE state = 'running'")

    def check_end(self) -> None:
        world = self.world
        assert not self.replays()
        attempts: dict[int, list[tuple[int, int | None]]] = {}
        for delivery_id, no, status in world.rows("SELECT delivery_id, no, status FROM attempts ORDER BY 1, 2"):
            attempts.setdefault(delivery_id, []).append((no, status))
        states = world.rows("SELECT id, state, attempts, forgiven FROM deliveries")
        assert {row[0] for row in states} == set(world.delivery_of.values())
        for delivery_id, state, count, forgiven in states:
            log = attempts[delivery_id]
            assert [no for no, _ in log] == list(range(1, count + 1))
            if state == DeliveryState.DELIVERED:
                assert world.arrived[delivery_id] >= 1
                assert log[-1][1] == 200
            else:
                assert state == DeliveryState.DEAD
                assert log[-1][1] == 410 or count - forgiven == TRIES


@pytest.fixture
def template(tmp_path: Path) -> Iterator[tuple[Path, str, int]]:
    """A ledger with one active loop; nobody logs the thousands of failures."""
    logging.disable()
    yield make_template(tmp_path)
    logging.disable(logging.NOTSET)


def test_the_lane_keeps_its_promises(template: tuple[Path, str, int]) -> None:
    """Whatever happens: delivered or dead in the end, repeats after crashes alone, order, rate and concurrency kept."""
    LaneMachine.template = template
    run_state_machine_as_test(
        LaneMachine,
        settings=settings(
            max_examples=250,
            stateful_step_count=50,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
