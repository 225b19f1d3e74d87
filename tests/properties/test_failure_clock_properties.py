"""The failure clock of a loop, compared with a model that looks at the ledger every second of virtual time."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.delivery.failure_clock import RECORD_EVERY_S
from tests.loop_commands import PAUSE, RESUME, change, sample
from tests.loop_simulation import LoopSimulation, make_template

DISABLE_AFTER_S: Final = 100.0
FAILED: Final = "SELECT 1 FROM deliveries WHERE state = 0 AND attempts > forgiven LIMIT 1"
WAITS: Final = st.sampled_from([1, 7, 20, 45, 90])
ANSWERS: Final = st.sampled_from(["500", "422", "connect", "hang", "ok"])
SCHEDULES: Final = st.sampled_from(["1", "0,2,10,40", "400,400", "20,20,20,20,20,20,20,20"])


class Model:
    """A loop, and the time for which it has only failed; `slack_s` bounds the error of the clock under test."""

    def __init__(self, simulation: LoopSimulation) -> None:
        self.simulation = simulation
        self.failing_s = 0.0
        self.slack_s = 1.0
        self.is_up = self.is_active = True
        self.is_paused = False
        self._arrived = 0

    @property
    def state(self) -> str:
        row = self.simulation.reader.loop(self.simulation.loop_id)
        assert row is not None
        return row.state

    def wait(self, seconds: int) -> None:
        if not (self.is_up and self.is_active):  # no time counts, so one look at the end is enough
            self.simulation.run(asyncio.sleep(seconds))
            self._note_arrivals()
            self.check()
            return
        for _ in range(seconds):
            was_failing = bool(self.simulation.rows(FAILED))
            self.simulation.run(asyncio.sleep(1))
            if was_failing and self.is_up and self.is_active:
                self.failing_s += 1
                self.slack_s += 0.02
            self._note_arrivals()
            self.check()

    def _note_arrivals(self) -> None:
        if (arrived := sum(self.simulation.arrived.values())) > self._arrived:
            self._arrived = arrived
            self.failing_s, self.slack_s = 0.0, 2.0

    def check(self) -> None:
        """Fails if the loop is disabled too early or too late."""
        if not (self.is_up and self.is_active):
            assert not self.is_paused or self.state == "paused"
            return
        if self.state == "disabled":
            self.is_active = self.simulation.may_post = False
            assert self.failing_s >= DISABLE_AFTER_S - self.slack_s
        else:
            assert self.failing_s <= DISABLE_AFTER_S + self.slack_s

    # --- what may happen

    def record(self) -> None:
        offers = self.simulation.run(self.simulation.record(2))
        self.simulation.call(lambda runtime: runtime.offer(offers))

    def pause(self) -> None:
        if self.is_active:
            self.simulation.run(self.simulation.runtime.handle(PAUSE))
            self.is_active = self.simulation.may_post = False
            self.is_paused = True

    def resume(self) -> None:
        if not self.is_active:
            self.is_active = self.simulation.may_post = True
            self.is_paused = False
            self.simulation.run(self.simulation.runtime.handle(RESUME))
            self.failing_s, self.slack_s = 0.0, 2.0

    def test(self) -> None:
        if self.simulation.run(self.simulation.runtime.handle(sample("open", {}))).status == 200:
            self.failing_s, self.slack_s = 0.0, 2.0

    def change(self) -> None:
        self.simulation.run(self.simulation.runtime.handle(change({"max_concurrency": 1})))

    def set_clock(self, by_s: int) -> None:
        self.simulation.clock.set_by_ms += by_s * 1000

    def be_down(self, seconds: int) -> None:
        self.simulation.run(self.simulation.runtime.stop(2.0))
        self.simulation.run(self.simulation.loop.kill_others())
        self.is_up = False
        self.slack_s += 2.0  # attempts in flight end
        self.wait(seconds)
        self.crash()
        self.is_up = True

    def crash(self) -> None:
        if self.is_up:
            self.slack_s += RECORD_EVERY_S + 1
        self.simulation.run(self.simulation.crash())
        self.simulation.run(self.simulation.starting)


def _calls(name: str) -> st.SearchStrategy[Callable[[Model], None]]:
    return st.just(lambda model: getattr(model, name)())


STEPS: Final = st.one_of(
    WAITS.map(lambda seconds: lambda model: model.wait(seconds)),
    WAITS.map(lambda seconds: lambda model: model.wait(seconds)),
    WAITS.map(lambda seconds: lambda model: model.be_down(seconds)),
    ANSWERS.map(lambda answer: lambda model: setattr(model.simulation.handler, "usual", answer)),
    st.sampled_from([-90_000, 90_000]).map(lambda by_s: lambda model: model.set_clock(by_s)),
    *(_calls(name) for name in ("record", "pause", "resume", "resume", "test", "change", "crash")),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, int]]:
    """A ledger with one active loop; logging is off because thousands of attempts fail."""
    logging.disable()
    yield make_template(tmp_path_factory.mktemp("template"))
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(300)
@settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=15, max_size=40), schedule=SCHEDULES, first=ANSWERS)
def test_the_clock_runs_only_while_a_failed_delivery_waits(
    template: tuple[Path, str, int], steps: list[Callable[[Model], None]], schedule: str, first: str
) -> None:
    """A loop is disabled when the model's time is up: no sooner and no later, whatever happens meanwhile."""
    path, loop_id, loop_no = template
    folder = Path(tempfile.mkdtemp(prefix="clock-"))
    shutil.copy(path, folder / "ledger.sqlite")
    simulation = LoopSimulation(folder / "ledger.sqlite", loop_id, loop_no)
    try:
        simulation.schedule, simulation.disable_after_s = schedule, DISABLE_AFTER_S
        simulation.run(simulation.crash())
        simulation.run(simulation.starting)
        simulation.handler.usual = first
        model = Model(simulation)
        model.record()
        for step in steps:
            step(model)
            model.check()
            model.wait(5)
    finally:
        simulation.close()
        shutil.rmtree(folder)
