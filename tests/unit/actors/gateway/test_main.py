"""The gateway process: where the ledger runs, the wait for the actors, and the stop within its time limit."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from actors import actor_names
from actors.delivery.lane import RECORDING_S
from actors.gateway import main as gateway_main
from actors.gateway.main import ledger_at
from actors.processes import serve_supervisor
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.join import JoinedRay
from actors.ray_runtime.rollout import Rollout
from actors.settings import Settings
from domain.errors import Conflict, FeedbackLoopsError, InternalError, StoreError, StoreUnavailable, Unavailable
from tests.virtual_time import VirtualLoop

SQLITE_ON_A_CLUSTER = Settings.from_env({}, ray_address="10.0.0.1:6379")
POSTGRESQL = Settings.from_env({}, ray_address="10.0.0.1:6379", store="postgresql://db/feedback_loops")


class FakeActors:
    """Fake client whose actors take time to stop, or fail; a call waits as `ActorClient.call` does."""

    def __init__(self, **ends: float | FeedbackLoopsError) -> None:
        self._ends = ends
        #: Names of actors, and the times at which they stopped.
        self.stopped: list[tuple[str, float]] = []

    async def call(self, name: str, method: str, *arguments: float, timeout_s: float) -> None:
        assert (method, arguments) == ("stop", (gateway_main.LOOPS_STOP_S,) if name == actor_names.SUPERVISOR else ())
        end = self._ends[name]
        if isinstance(end, FeedbackLoopsError):
            raise end
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(end)
        except TimeoutError:
            raise Unavailable(f"{name} did not answer", True) from None
        self.stopped.append((name, asyncio.get_running_loop().time()))


def stopped(actors: FakeActors, drained_s: float = 0.0) -> tuple[list[str], float]:
    """The actors that stopped, in order, and the seconds that it took; `finish` came `drained_s` after `drain`."""
    loop = VirtualLoop()

    async def stop() -> float:
        began_s = loop.time()
        stop = gateway_main.ActorStop(cast(ActorClient, cast(Any, actors)))
        if drained_s:
            stop.drain()
        await asyncio.sleep(drained_s)
        await stop.finish()
        return loop.time() - began_s

    try:
        took_s: float = loop.run(stop())
    finally:
        loop.close()
    return [name for name, _ in actors.stopped], took_s


@pytest.mark.parametrize("loops", [60.0, Unavailable("it is away"), InternalError("it failed")])
@pytest.mark.parametrize("drained_s", [0.0, 4.5])
def test_the_ledger_is_closed_whatever_the_loops_do(loops: float | FeedbackLoopsError, drained_s: float) -> None:
    """Loops that hang or fail leave the ledger enough time before the process is killed."""
    actors = FakeActors(supervisor=loops, ledger=gateway_main.LEDGER_STOP_S - 0.05)
    names, took_s = stopped(actors, drained_s)

    assert names == [actor_names.LEDGER]
    assert took_s <= gateway_main.STOP_S < serve_supervisor.GATEWAY_STOP_S


def test_the_start_waits_for_the_store() -> None:
    """The start continues when the store is available, and fails on a permanent problem."""
    loop = VirtualLoop()
    answers: list[Exception | None] = [StoreUnavailable("away")] * 20 + [None, Conflict("another master key")]
    reported: list[str | StoreError] = []

    class LateRollout:
        async def set_up(self) -> None:
            if (answer := answers.pop(0)) is not None:
                raise answer

    async def start() -> float:
        await gateway_main.all_there(cast(Rollout, cast(Any, LateRollout())), reported.append)
        return loop.time()

    try:
        began_s = loop.time()
        assert loop.run(start()) - began_s == pytest.approx(20 * gateway_main.RETRY_S)
        with pytest.raises(Conflict):
            loop.run(start())
    finally:
        loop.close()
    assert [str(problem) for problem in reported] == ["away"] * 20
    assert all(isinstance(problem, StoreUnavailable) for problem in reported)


def test_the_stop_ends_in_time() -> None:
    """It ends even if neither the supervisor nor the ledger answers."""
    names, took_s = stopped(FakeActors(supervisor=60.0, ledger=60.0), 4.5)

    assert names == []
    assert took_s == pytest.approx(gateway_main.STOP_S)


def test_the_loops_record_before_the_ledger_is_closed() -> None:
    """The ledger stops last, when the front end needs it no longer, and loops have 8.7 s to drain their lanes."""
    for loops_s, drained_s in ((8.7, 0.0), (8.7, 4.5), (0.1, 4.5)):
        actors = FakeActors(supervisor=loops_s, ledger=0.1)
        names, took_s = stopped(actors, drained_s)

        assert names == [actor_names.SUPERVISOR, actor_names.LEDGER]
        assert took_s == pytest.approx(max(loops_s, drained_s) + 0.1)


def test_a_stop_ends_within_ten_seconds() -> None:
    """Attempts have 8.0 s, outcomes 9.5 s, and Ray is gone before 10 s are over."""
    assert pytest.approx(8.0) == gateway_main.LOOPS_STOP_S - RECORDING_S
    assert (
        gateway_main.LOOPS_STOP_S + gateway_main.LEDGER_STOP_S < gateway_main.STOP_S < serve_supervisor.GATEWAY_STOP_S
    )
    assert serve_supervisor.FRONT_END_STOP_S < gateway_main.LOOPS_STOP_S
    assert serve_supervisor.GATEWAY_STOP_S < 9.5 < serve_supervisor.RAY_STOP_S < 10


def test_a_ledger_on_sqlite_stays_on_the_machine_with_the_file() -> None:
    """With one node it runs there. With more nodes the service does not start, and names the setting to change."""
    one_node = JoinedRay("socket", ["10.0.0.1"], "10.0.0.1")

    assert ledger_at(SQLITE_ON_A_CLUSTER, one_node) == "10.0.0.1"
    with pytest.raises(Conflict, match="--store postgresql://"):
        ledger_at(SQLITE_ON_A_CLUSTER, JoinedRay("socket", ["10.0.0.1", "10.0.0.2"], "10.0.0.1"))


def test_a_ledger_on_postgresql_may_be_anywhere() -> None:
    """On the service's own Ray, which has one node, it may too."""
    several = JoinedRay("socket", ["10.0.0.1", "10.0.0.2"], "10.0.0.1")

    assert ledger_at(POSTGRESQL, several) is None
    assert ledger_at(Settings.from_env({}), several) is None
