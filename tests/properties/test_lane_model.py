"""The lane of one loop under any order of events, responses, crashes, commands and changes of its settings. The
runtime is the real one, on the real ledger, in virtual time. `tests.loop_simulation.LoopSimulation.check_start`
checks every start of a POST, and this file checks the end.
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

from actors.commands.command import Command
from domain.errors import Conflict
from domain.values import DeliveryState
from tests.loop_commands import PAUSE, RESUME, cancel, change, replay, retry
from tests.loop_simulation import ANSWERS, TRIES, LoopSimulation, make_template

#: The longest time until everything is delivered to a healthy handler: schedule, probes, a clock set back.
END_S = 1500
RESPONSES = st.lists(st.sampled_from([answer for answer in ANSWERS if answer != "410"]), max_size=12)
MOMENTS = st.sampled_from([0.0, 0.001, 0.004, 0.012, 0.1, 0.5, 2.0])


class LaneMachine(RuleBasedStateMachine):
    """Everything that can happen to a lane."""

    template: tuple[Path, str, int]

    @initialize(
        seed=st.integers(0, 3),
        ordered=st.booleans(),
        concurrency=st.sampled_from([1, 2, 16]),
        rate=st.sampled_from([0, 0, 3, 20]),
        answers=RESPONSES,
        read_s=st.sampled_from([0.002, 0.06]),
    )
    def begin(self, seed: int, ordered: bool, concurrency: int, rate: float, answers: list[str], read_s: float) -> None:
        path, loop_id, loop_no = self.template
        self.folder = Path(tempfile.mkdtemp(prefix="lane-"))
        shutil.copy(path, self.folder / "ledger.sqlite")
        self.simulation = LoopSimulation(self.folder / "ledger.sqlite", loop_id, loop_no, seed)
        self.is_active = True
        self.simulation.handler.next.extend(answers)
        self.simulation.loop.thread_s = read_s
        self.change(concurrency, rate, ordered)

    # --- events

    @rule(count=st.integers(1, 12), offered=st.sampled_from(["now", "late", "never"]), answers=RESPONSES, wait=MOMENTS)
    def record(self, count: int, offered: str, answers: list[str], wait: float) -> None:
        self.simulation.handler.next.extend(answers)
        offers = self.simulation.run(self.simulation.record(count))
        if offered == "now":
            self.simulation.call(lambda runtime: runtime.offer(offers))
        if offered != "never":
            self.simulation.late = (self.simulation.late + offers)[-30:]
        self.wait(wait)

    @rule(count=st.integers(1, 12), wait=MOMENTS)
    def work(self, count: int, wait: float) -> None:
        """Ordinary work, followed by old offers."""
        self.record(count, "now", [], wait)
        self.offer_late()

    @rule()
    def offer_late(self) -> None:
        """Sends offers late and in another order, some for the second time."""
        offers = self.simulation.late[::-1]
        self.simulation.call(lambda runtime: runtime.offer(offers))
        self.wait(0.02)

    # --- the handler

    @rule(answer=st.sampled_from(["ok", "ok", "slow", "500", "422", "429", "connect", "disconnect", "hang"]))
    def usual_answer(self, answer: str) -> None:
        self.simulation.handler.usual = answer

    @rule()
    def gone(self) -> None:
        self.simulation.handler.next.append("410")

    # --- time

    @rule(seconds=st.sampled_from([0.02, 0.5, 1.0, 2.5, 6.0, 15.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Lets the lane run."""
        self.simulation.run(asyncio.sleep(seconds))
        self.note_410()

    @rule(by_s=st.sampled_from([-120, 120]))
    def set_clock(self, by_s: int) -> None:
        self.simulation.clock.set_by_ms += by_s * 1000

    # --- the ledger, and the process

    @rule(reads=st.booleans())
    def ledger_goes(self, reads: bool) -> None:
        self.simulation.ledger.is_away = True
        self.simulation.reader.is_away = not reads

    @rule()
    def ledger_comes(self) -> None:
        self.simulation.ledger.is_away = False
        self.simulation.reader.is_away = False

    @rule(count=st.integers(0, 12), wait=MOMENTS, gracefully=st.booleans())
    def end_process(self, count: int, wait: float, gracefully: bool) -> None:
        """Restarts the process, possibly during work."""
        self.record(count, "now", [], wait)
        self.simulation.run(self.simulation.restart() if gracefully else self.simulation.crash())

    # --- commands

    def is_running(self) -> bool:
        return not (self.simulation.ledger.is_away or self.simulation.reader.is_away)

    def command(self, command: Command[Any]) -> Any:
        """Runs a command; refused ones change nothing."""

        async def carry_out() -> Any:
            await self.simulation.starting
            return await self.simulation.runtime.handle(command)

        try:
            return self.simulation.run(carry_out())
        except Conflict:
            return None
        finally:
            self.note_410()

    def note_410(self) -> None:
        """Records that a disabled loop must get no POSTs."""
        row = self.simulation.reader.loop(self.simulation.loop_id) if not self.simulation.reader.is_away else None
        if row is not None and row.state == "disabled":
            self.simulation.may_post = self.is_active = False

    @precondition(is_running)
    @rule()
    def pause(self) -> None:
        if self.command(PAUSE):
            self.simulation.may_post = self.is_active = False

    @precondition(is_running)
    @rule()
    def resume(self) -> None:
        before, self.simulation.may_post = self.simulation.may_post, True
        if self.command(RESUME):
            self.is_active = True
            self.note_410()
        else:
            self.simulation.may_post = before and self.is_active

    @precondition(is_running)
    @rule(
        concurrency=st.one_of(st.none(), st.sampled_from([1, 2, 5, 16])),
        rate=st.one_of(st.none(), st.sampled_from([0, 0.5, 3, 20])),
        ordered=st.one_of(st.none(), st.booleans()),
    )
    def change(self, concurrency: int | None, rate: float | None, ordered: bool | None) -> None:
        simulation, changes = self.simulation, dict[str, Any]()
        former = (simulation.max_concurrency, simulation.rate_limit, simulation.ordered)
        if concurrency is not None:
            changes["max_concurrency"] = concurrency
            simulation.max_concurrency = max(concurrency, simulation.max_concurrency)
        if rate is not None:
            changes["rate_limit"] = rate or None
            simulation.rate_limit = None
        if ordered is not None:
            changes["ordered"] = ordered
            simulation.ordered = False
        self.command(change(changes))
        simulation.max_concurrency = concurrency or former[0]
        if rate is not None:
            simulation.handler.starts.clear()
            simulation.rate_limit = rate or None
        simulation.ordered = former[2] if ordered is None else ordered

    @precondition(is_running)
    @rule(which=st.sampled_from(["dead", "all"]))
    def replay(self, which: str) -> None:
        until_ms = self.simulation.clock.now_ms() + 1_000_000
        self.command(replay(which, 0, until_ms))

    @precondition(is_running)
    @rule()
    def cancel_replay(self) -> None:
        for (replay_id,) in self.simulation.rows("SELECT id FROM replays WHERE state = 'running'"):
            self.command(cancel(replay_id))

    @precondition(is_running)
    @rule(number=st.integers(0, 100))
    def retry(self, number: int) -> None:
        ids = list(self.simulation.delivery_of.values())
        if ids:
            self.command(retry(ids[number % len(ids)]))

    # --- the end

    def teardown(self) -> None:
        if not hasattr(self, "simulation"):
            return
        try:
            self.recover_and_finish()
        finally:
            self.simulation.close()
            shutil.rmtree(self.folder)

    def recover_and_finish(self) -> None:
        """Checks that with a healthy handler and ledger and a resumed loop, everything ends as delivered or dead."""
        simulation = self.simulation
        self.ledger_comes()
        simulation.handler.next.clear()
        simulation.handler.usual = "ok"
        self.wait(30)
        self.change(None, 0, None)
        self.resume()
        for _ in range(END_S // 10):
            if not simulation.rows("SELECT 1 FROM deliveries WHERE state = 0 LIMIT 1") and not self.replays():
                break
            self.wait(10)
        self.check_end()

    def replays(self) -> list[Any]:
        return self.simulation.rows("SELECT 1 FROM replays WHERE state = 'running'")

    def check_end(self) -> None:
        simulation = self.simulation
        assert not self.replays()
        attempts: dict[int, list[tuple[int, int | None]]] = {}
        for delivery_id, no, status in simulation.rows("SELECT delivery_id, no, status FROM attempts ORDER BY 1, 2"):
            attempts.setdefault(delivery_id, []).append((no, status))
        states = simulation.rows("SELECT id, state, attempts, forgiven FROM deliveries")
        assert {row[0] for row in states} == set(simulation.delivery_of.values())
        for delivery_id, state, count, forgiven in states:
            log = attempts[delivery_id]
            assert [no for no, _ in log] == list(range(1, count + 1))
            if state == DeliveryState.DELIVERED:
                assert simulation.arrived[delivery_id] >= 1
                assert log[-1][1] == 200
            else:
                assert state == DeliveryState.DEAD
                assert log[-1][1] == 410 or count - forgiven == TRIES


@pytest.fixture
def template(tmp_path: Path) -> Iterator[tuple[Path, str, int]]:
    """A ledger with one active loop; logging is off because thousands of attempts fail."""
    logging.disable()
    yield make_template(tmp_path)
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(400)
def test_the_lane_keeps_its_promises(template: tuple[Path, str, int]) -> None:
    """Deliveries end as delivered or dead, repeat only after crashes, and keep order, rate and concurrency."""
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
