"""The end of the actors: in order, and within the gateway's time limit."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from actors import actor_names
from actors.delivery.lane import RECORDING_S
from actors.gateway import actor_stop
from actors.processes import serve_supervisor
from actors.ray_runtime.calls import ActorClient
from domain.errors import FeedbackLoopsError, InternalError, Unavailable
from tests.virtual_time import VirtualLoop


class FakeActors:
    """Fake client whose actors take time to stop, or fail; a call waits as `ActorClient.call` does."""

    def __init__(self, **ends: float | FeedbackLoopsError) -> None:
        self._ends = ends
        #: Names of actors, and the times at which they stopped.
        self.stopped: list[tuple[str, float]] = []

    async def call(self, name: str, method: str, *arguments: float, timeout_s: float) -> None:
        assert (method, arguments) == ("stop", (actor_stop.LOOPS_STOP_S,) if name == actor_names.SUPERVISOR else ())
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
        stop = actor_stop.ActorStop(cast(ActorClient, cast(Any, actors)))
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
    actors = FakeActors(supervisor=loops, ledger=actor_stop.LEDGER_STOP_S - 0.05)
    names, took_s = stopped(actors, drained_s)

    assert names == [actor_names.LEDGER]
    assert took_s <= actor_stop.STOP_S < serve_supervisor.GATEWAY_STOP_S


def test_the_stop_ends_in_time() -> None:
    """It ends even if neither the supervisor nor the ledger answers."""
    names, took_s = stopped(FakeActors(supervisor=60.0, ledger=60.0), 4.5)

    assert names == []
    assert took_s == pytest.approx(actor_stop.STOP_S)


def test_the_loops_record_before_the_ledger_is_closed() -> None:
    """The ledger stops last, when the front end needs it no longer, and loops have 8.7 s to drain their lanes."""
    for loops_s, drained_s in ((8.7, 0.0), (8.7, 4.5), (0.1, 4.5)):
        actors = FakeActors(supervisor=loops_s, ledger=0.1)
        names, took_s = stopped(actors, drained_s)

        assert names == [actor_names.SUPERVISOR, actor_names.LEDGER]
        assert took_s == pytest.approx(max(loops_s, drained_s) + 0.1)


def test_a_stop_ends_within_ten_seconds() -> None:
    """Attempts have 8.0 s, outcomes 9.5 s, and Ray is gone before 10 s are over."""
    assert pytest.approx(8.0) == actor_stop.LOOPS_STOP_S - RECORDING_S
    assert actor_stop.LOOPS_STOP_S + actor_stop.LEDGER_STOP_S < actor_stop.STOP_S < serve_supervisor.GATEWAY_STOP_S
    assert serve_supervisor.FRONT_END_STOP_S < actor_stop.LOOPS_STOP_S
    assert serve_supervisor.GATEWAY_STOP_S < 9.5 < serve_supervisor.RAY_STOP_S < 10
