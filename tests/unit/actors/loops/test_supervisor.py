"""The supervisor: one process holds each loop, whatever dies, hangs or gets lost, and no loop waits needlessly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from actors.loops import host_monitor, supervisor
from actors.loops.placement import NodeCapacity
from actors.loops.supervisor import Supervisor
from domain.errors import Unavailable
from tests.fake_hosts import CountedRuntime, FakeCluster, LoopsReader, as_reader


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens all intervals, and resets the counts of runtimes."""
    monkeypatch.setattr(host_monitor, "RETRY_S", 0.002)
    monkeypatch.setattr(supervisor, "REFRESH_S", 0.02)
    monkeypatch.setattr(supervisor, "ROUND_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor, "LOCATE_S", 5.0)
    CountedRuntime.reset()


def a_supervisor(cluster: FakeCluster, incarnation: str = "first", budget: int | None = 3) -> Supervisor:
    return Supervisor(
        as_reader(cluster.reader), cluster, incarnation=incarnation, budget=budget, delivery_timeout_s=1.0
    )


@asynccontextmanager
async def placing(*loops: str, budget: int | None = 3) -> AsyncIterator[tuple[Supervisor, FakeCluster]]:
    """A running supervisor of a fake cluster."""
    cluster = FakeCluster(LoopsReader(*loops))
    watch = a_supervisor(cluster, budget=budget)
    watch.start()
    try:
        yield watch, cluster
    finally:
        await watch.stop(1.0)
        await cluster.close()


def all_held(cluster: FakeCluster) -> list[str]:
    return sorted(loop_id for held in cluster.held().values() for loop_id in held)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.002)


def test_the_oldest_loops_have_their_own_actors_and_the_rest_share() -> None:
    """Loops get their own actors while the budget lasts; all others go to a host."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", "fl_c", "fl_d") as (_, cluster):
            expected = {
                "feedback-loop/fl_a": ["fl_a"],
                "feedback-loop/fl_b": ["fl_b"],
                "loop-host/0": ["fl_c", "fl_d"],
            }
            await until(lambda: cluster.held() == expected)
            assert cluster.started[0] == "loop-host/0"

    asyncio.run(scenario())


def test_a_new_loop_waits_for_no_process() -> None:
    """It is on a host at once, and moves to its own actor when that is ready."""

    async def scenario() -> None:
        async with placing("fl_a") as (watch, cluster):
            await until(lambda: "feedback-loop/fl_a" in cluster.held())
            cluster.gate.clear()
            cluster.reader.loops.append("fl_new")
            async with asyncio.timeout(0.5):
                assert await watch.locate("fl_new") == "loop-host/0"
            cluster.gate.set()
            await until(lambda: cluster.held().get("feedback-loop/fl_new") == ["fl_new"])
            assert await watch.locate("fl_new") == "feedback-loop/fl_new"

    asyncio.run(scenario())


def test_a_deleted_loop_is_released_and_its_actor_ended() -> None:
    """No process holds or runs it any more, and its location is removed."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", budget=2) as (watch, cluster):
            await until(lambda: set(cluster.held()) == {"feedback-loop/fl_a", "loop-host/0"})
            cluster.reader.loops.remove("fl_a")
            await watch.remove("fl_a")
            await until(lambda: cluster.held() == {"feedback-loop/fl_b": ["fl_b"]})
            await until(lambda: set(cluster.up) == {"feedback-loop/fl_b", "loop-host/0"})
            assert watch.locations.get("fl_a") is None

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["loop-host/0", "feedback-loop/fl_a"])
def test_a_host_that_died_gets_its_loops_back(name: str) -> None:
    """After its restart it holds nothing, and is assigned its former loops."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", "fl_c", budget=2) as (_, cluster):
            await until(lambda: len(cluster.held()) == 2)
            before = cluster.held()
            await cluster.kill(name)
            assert cluster.held() != before
            await until(lambda: cluster.held() == before)

    asyncio.run(scenario())


def test_a_host_is_replaced_when_another_one_is_ready() -> None:
    """A rollout that replaces one host after the other always leaves one that accepts loops."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", "fl_c", budget=2) as (watch, cluster):
            await until(lambda: len(cluster.held()) == 2)
            before, process = cluster.held(), cluster.up["loop-host/0"]
            await watch.replace("loop-host/0")
            assert cluster.up["loop-host/0"] is not process
            await until(lambda: cluster.held() == before)

    asyncio.run(scenario())


def test_the_next_host_is_replaced_when_all_are_ready_again() -> None:
    """Until then the others hold its loops; no loop waits for a process to start."""

    async def scenario() -> None:
        loops = [f"fl_{n}" for n in range(9)]
        async with placing(*loops, budget=4) as (watch, cluster):
            await until(lambda: all_held(cluster) == loops and len(cluster.held()) == 4)
            cluster.gate.clear()
            replacing = asyncio.create_task(watch.replace("loop-host/0"))
            await until(lambda: all_held(cluster) == loops and "loop-host/0" not in cluster.up)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not replacing.done()
            cluster.gate.set()
            await replacing
            assert {"loop-host/0", "loop-host/1"} <= set(cluster.up)

    asyncio.run(scenario())


def test_a_loop_whose_actor_is_replaced_waits_for_no_process() -> None:
    """A host holds it until its new actor is ready."""

    async def scenario() -> None:
        async with placing("fl_a") as (watch, cluster):
            await until(lambda: cluster.held() == {"feedback-loop/fl_a": ["fl_a"]} and "loop-host/0" in cluster.up)
            cluster.gate.clear()
            await watch.replace("feedback-loop/fl_a")
            await until(lambda: cluster.held() == {"loop-host/0": ["fl_a"]})
            cluster.gate.set()
            await until(lambda: cluster.held() == {"feedback-loop/fl_a": ["fl_a"]})

    asyncio.run(scenario())


def test_a_host_that_hangs_keeps_its_loops_until_it_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may still deliver, so no other gets them; after a while it is killed and restarted."""
    monkeypatch.setattr(host_monitor, "HANGS_S", 0.3)

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", "fl_c", budget=2) as (_, cluster):
            await until(lambda: len(cluster.held()) == 2)
            before = cluster.held()
            process = cluster.up["loop-host/0"]
            cluster.hung.add("loop-host/0")
            process.ended.set()  # ends the open heartbeat too
            await asyncio.sleep(0.1)
            assert (cluster.held(), cluster.restarted) == (before, [])
            await until(lambda: cluster.restarted == ["loop-host/0"] and cluster.held() == before)
            assert cluster.up["loop-host/0"] is not process

    asyncio.run(scenario())


def test_a_restarted_supervisor_finds_everything_in_place() -> None:
    """It asks the hosts, moves nothing, and publishes all locations."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", "fl_c", budget=2) as (watch, cluster):
            await until(lambda: len(cluster.held()) == 2)
            before, processes = cluster.held(), dict(cluster.up)
            for task in [*watch._tasks._tasks, *(monitor._task for monitor in watch._hosts.monitors.values())]:
                assert task is not None
                task.cancel()
            second = a_supervisor(cluster, "second", budget=2)
            second.start()
            assert await second.locate("fl_c") == "loop-host/0"
            changes = await second.locations.since("first", 7)
            assert changes.is_complete
            assert {name: sorted(loops) for name, loops in changes.locations.items()} == before
            assert (cluster.held(), cluster.up) == (before, processes)
            await second.stop(1.0)

    asyncio.run(scenario())


def test_nothing_is_assigned_until_every_host_has_answered() -> None:
    """A silent host may hold loops that no other holds."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", budget=1) as (watch, cluster):
            await until(lambda: cluster.held() == {"loop-host/0": ["fl_a", "fl_b"]})
            for task in [*watch._tasks._tasks, *(monitor._task for monitor in watch._hosts.monitors.values())]:
                assert task is not None
                task.cancel()
            cluster.hung.add("loop-host/0")
            await cluster.start("loop-host/1", "node-1")
            second = a_supervisor(cluster, "second", budget=2)
            second.start()
            cluster.reader.loops.append("fl_new")
            locating = asyncio.create_task(second.locate("fl_new"))
            await until(lambda: any(monitor.is_up for monitor in second._hosts.monitors.values()))
            await asyncio.sleep(0.1)
            assert "loop-host/1" not in cluster.held()
            assert not locating.done()

            cluster.hung.clear()
            await locating
            await second.stop(1.0)

    asyncio.run(scenario())


def test_a_busy_loop_moves_when_its_work_is_done() -> None:
    """Its deliveries finish before another process starts, and no other loop waits for that."""

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", budget=1) as (watch, cluster):
            await until(lambda: len(cluster.held()) == 1)
            CountedRuntime.working["fl_a"] = asyncio.Event()
            host = cluster.up["loop-host/0"].host
            host.offer("fl_a", ())
            await until(lambda: CountedRuntime.alive["fl_a"] == 1)
            watch._budget = 3
            await until(lambda: cluster.held().get("feedback-loop/fl_b") == ["fl_b"])
            await until(lambda: "feedback-loop/fl_a" in cluster.up)
            await asyncio.sleep(0.05)
            assert cluster.held()["loop-host/0"] == ["fl_a"]

            CountedRuntime.working.pop("fl_a").set()
            await until(lambda: cluster.held().get("feedback-loop/fl_a") == ["fl_a"])
            assert CountedRuntime.doubles == []

    asyncio.run(scenario())


def test_a_suspended_supervisor_moves_nothing_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves everything to the next supervisor, and continues by itself if none comes."""
    monkeypatch.setattr(supervisor, "SUSPENDED_S", 0.3)

    async def scenario() -> None:
        async with placing("fl_a", "fl_b", budget=1) as (watch, cluster):
            await until(lambda: cluster.held() == {"loop-host/0": ["fl_a", "fl_b"]})
            await watch.suspend()
            watch._budget = 3
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await watch.locate("fl_new")
            assert cluster.held() == {"loop-host/0": ["fl_a", "fl_b"]}

            cluster.reader.loops.append("fl_new")
            await until(lambda: len(cluster.held()) == 3)
            assert all_held(cluster) == ["fl_a", "fl_b", "fl_new"]

    asyncio.run(scenario())


def test_suspending_waits_for_moving_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait long, because a busy loop may take as long as its handler's timeout."""
    monkeypatch.setattr(supervisor, "ARRIVING_S", 0.2)

    async def scenario() -> None:
        async with placing("fl_a", budget=1) as (watch, cluster):
            await until(lambda: len(cluster.held()) == 1)
            CountedRuntime.working["fl_a"] = asyncio.Event()
            cluster.up["loop-host/0"].host.offer("fl_a", ())
            await until(lambda: CountedRuntime.alive["fl_a"] == 1)
            watch._budget = 2
            await until(lambda: bool(watch._relocations.moving))
            began_s = asyncio.get_running_loop().time()
            await watch.suspend()
            assert asyncio.get_running_loop().time() - began_s >= 0.2
            assert watch._relocations.moving

            resting = asyncio.create_task(watch.suspend())
            CountedRuntime.working.pop("fl_a").set()
            await resting
            assert not watch._relocations.moving
            assert cluster.held() == {"feedback-loop/fl_a": ["fl_a"]}

    asyncio.run(scenario())


def test_nodes_that_join_and_leave() -> None:
    """A new node gets a host with its share of the loops; after it has left, every loop still has a host."""
    loops = [f"fl_{n:02}" for n in range(40)]

    async def scenario() -> None:
        async with placing(*loops, budget=None) as (_, cluster):
            cluster.machines[:] = [
                NodeCapacity("node-1", 1, 6e8)
            ]  # four processes: two hosts at most, one for its core
            await until(lambda: len(cluster.held()) == 4)
            cluster.machines.append(NodeCapacity("node-2", 1, 6e8))
            await until(lambda: len(cluster.held()) == 8 and len(cluster.held()["loop-host/1"]) > 10)
            del cluster.machines[0]
            await until(lambda: len(cluster.up) == 4)
            await until(lambda: cluster.held_once() == loops)
            assert CountedRuntime.doubles == []

    asyncio.run(scenario())


def test_a_loop_without_a_host_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locating it fails with the advice to try again."""

    async def scenario() -> None:
        async with placing() as (watch, cluster):
            cluster.hung.add("loop-host/0")
            with pytest.raises(Unavailable, match="fl_a is being started"):
                await watch.locate("fl_a")

    monkeypatch.setattr(supervisor, "LOCATE_S", 0.1)
    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_each_loop_has_one_host_whatever_fails(seed: int) -> None:
    """Orders and answers are lost, hosts and supervisors are killed; in the end each loop has one host."""
    loops = [f"fl_{n:02}" for n in range(30)]

    async def scenario() -> None:
        cluster = FakeCluster(LoopsReader(*loops))
        cluster.reader.due = list(loops)
        cluster.rng.seed(seed)
        cluster.losses = 0.2
        watch = a_supervisor(cluster, budget=6)
        watch.start()
        for number in range(25):
            await asyncio.sleep(0.01)
            match cluster.rng.randrange(5):
                case 0 if cluster.up:
                    await cluster.kill(cluster.rng.choice(sorted(cluster.up)))
                case 1:
                    for task in [*watch._tasks._tasks, *(monitor._task for monitor in watch._hosts.monitors.values())]:
                        if task is not None:
                            task.cancel()
                    watch = a_supervisor(cluster, f"supervisor {number}", budget=6)
                    watch.start()
                case 2:
                    watch._budget = cluster.rng.randint(1, 8)
                case 3:
                    cluster.machines[:] = [NodeCapacity("node-1", cluster.rng.randint(1, 4), 16e9)]
                case _:
                    for process in cluster.up.values():
                        process.host._poller.poll_now()
        cluster.losses = 0.0
        await until(lambda: cluster.held_once() == loops and not watch._relocations.moving)
        assert CountedRuntime.doubles == []
        await watch.stop(1.0)

    asyncio.run(scenario())
