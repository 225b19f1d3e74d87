"""The end of the gateway: the ledger is closed, whatever becomes of the loops, before the keeper loses its patience."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from actors.gateway import main as gateway_main
from actors.processes import serve_supervisor
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from actors.ray_runtime.rollout import Fleet
from domain.errors import Conflict, FeedbackLoopsError, InternalError, StoreUnavailable, Unavailable
from tests.virtual_time import VirtualLoop


class FakeActors:
    """Actors that take their time to stop, or fail; each call waits as `Actors.ask` does."""

    def __init__(self, **ends: float | FeedbackLoopsError) -> None:
        self._ends = ends
        #: Who stopped, and when.
        self.stopped: list[tuple[str, float]] = []

    async def ask(self, name: str, method: str, *, timeout_s: float) -> None:
        assert method == "stop"
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
    """Who stopped, in order, and how many seconds all of it took after `drained_s` of draining."""
    loop = VirtualLoop()

    async def stop() -> float:
        began_s = loop.time()
        await asyncio.sleep(drained_s)
        await gateway_main.stop_actors(cast(Actors, cast(Any, actors)), began_s + gateway_main.STOP_S)
        return loop.time() - began_s

    try:
        took_s: float = loop.run(stop())
    finally:
        loop.close()
    return [name for name, _ in actors.stopped], took_s


@pytest.mark.parametrize("loops", [60.0, Unavailable("it is away"), InternalError("it failed")])
@pytest.mark.parametrize("drained_s", [0.0, gateway_main.DRAIN_S])
def test_the_ledger_is_closed_whatever_the_loops_do(loops: float | FeedbackLoopsError, drained_s: float) -> None:
    """Loops that hang or fail leave the ledger the time that it needs, within the keeper's."""
    actors = FakeActors(supervisor=loops, ledger=gateway_main.LEDGER_STOP_S - 0.05)
    names, took_s = stopped(actors, drained_s)

    assert names == [options.LEDGER]
    assert took_s <= gateway_main.STOP_S < serve_supervisor.GATEWAY_STOP_S


def test_a_store_that_is_away_is_waited_for() -> None:
    """The start goes on when the ledger says that its store is there; what can never be ends it."""
    loop = VirtualLoop()
    answers: list[Exception | None] = [StoreUnavailable("away")] * 20 + [None, Conflict("another master key")]
    said: list[str] = []

    class LateFleet:
        async def set_up(self) -> None:
            if (answer := answers.pop(0)) is not None:
                raise answer

    async def start() -> float:
        await gateway_main.all_there(cast(Fleet, cast(Any, LateFleet())), said.append)
        return loop.time()

    try:
        began_s = loop.time()
        assert loop.run(start()) - began_s == pytest.approx(20 * gateway_main.RETRY_S)
        with pytest.raises(Conflict):
            loop.run(start())
    finally:
        loop.close()
    assert said == ["away"] * 20


def test_both_hang() -> None:
    """The end comes in time even when nobody answers."""
    names, took_s = stopped(FakeActors(supervisor=60.0, ledger=60.0), gateway_main.DRAIN_S)

    assert names == []
    assert took_s == pytest.approx(gateway_main.STOP_S)


def test_the_loops_record_before_the_ledger_is_closed() -> None:
    """The ledger is the last to stop, and loops have the time that their lanes take to drain."""
    names, _ = stopped(FakeActors(supervisor=2.0, ledger=0.1))

    assert names == [options.SUPERVISOR, options.LEDGER]
