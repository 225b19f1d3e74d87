"""The rollout: starts missing actors, replaces outdated ones, and respects a later start's decision."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from actors import actor_names
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.deployment import Deployment
from actors.ray_runtime.rollout import CHECK_S, MISSING_S, Rollout
from domain.errors import Conflict, NotMigrated, Unavailable
from tests.virtual_time import VirtualLoop

LOOP = actor_names.loop_name("fl_1")
HOST = actor_names.host_name(0)


def deployment(started_ms: int, **texts: str) -> Deployment:
    return Deployment(started_ms=started_ms, version="1", installation="aa", options={"delivery_timeout": "15"} | texts)


class FakeCluster:
    """Fake Ray, as `ActorClient` and `FleetLauncher`: each actor has the deployment that it was started with."""

    def __init__(self, mine: Deployment, **there: Deployment) -> None:
        self.mine = mine
        self.deployments = dict(there)
        self.log: list[str] = []
        #: Names whose `stop` fails.
        self.stubborn: set[str] = set()
        #: Names of running actors that do not answer.
        self.silent: set[str] = set()

    # --- the launcher

    def running(self) -> set[str]:
        return set(self.deployments)

    def start(self, name: str, *, here: bool = False) -> None:
        if name not in self.deployments:
            self.log.append(f"start {name}{' here' if here else ''}")
            self.deployments[name] = self.mine

    def end(self, name: str) -> None:
        self.log.append(f"end {name}")
        self.deployments.pop(name, None)

    # --- the actors

    def forget(self, name: str) -> None:
        """Does nothing: no handle is kept."""

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        if name not in self.deployments or name in self.silent:
            raise Unavailable(f"{name} is not running")
        if method == "deployment":
            return self.deployments[name].text()
        if method in {"stop", "suspend"}:
            self.log.append(f"{method} {name}")
            if name in self.stubborn:
                raise Unavailable(f"{name} is away")
        if method == "replace":
            if args[0] in self.stubborn:
                raise Unavailable(f"{args[0]} is away")
            self.log.append(f"replace {args[0]}")
            self.deployments[args[0]] = self.mine
        return None


def rollout_of(cluster: FakeCluster, enrichers: int = 2) -> Rollout:
    return Rollout(cast(ActorClient, cast(Any, cluster)), cluster, cluster.mine, enrichers)


def run(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run(work)
    finally:
        loop.close()


EVERYONE = ["ledger", "enricher/0", "enricher/1", "supervisor"]


def everyone(theirs: Deployment) -> dict[str, Deployment]:
    return dict.fromkeys([*EVERYONE, LOOP, HOST], theirs)


def test_missing_actors_are_started_the_ledger_first() -> None:
    """On an empty Ray all of them are started, and the store is created before it is read."""
    cluster = FakeCluster(deployment(1))
    run(rollout_of(cluster).set_up())

    assert set(cluster.deployments) == set(EVERYONE)
    assert cluster.log[0] == "start ledger"


def test_nothing_is_delivered_before_the_ledger_is_prepared() -> None:
    """The supervisor, which assigns loops, starts once what has to come before them is done."""
    cluster = FakeCluster(deployment(1))
    problems = [Unavailable("people are erased again")]

    async def prepare() -> None:
        cluster.log.append("prepare")
        if problems:
            raise problems.pop()

    rollout = Rollout(cast(ActorClient, cast(Any, cluster)), cluster, cluster.mine, 1, prepare)
    with pytest.raises(Unavailable, match="erased again"):
        run(rollout.set_up())
    assert cluster.log == ["start ledger", "prepare"]
    run(rollout.set_up())
    assert cluster.log[:3] == ["start ledger", "prepare", "prepare"]
    assert set(cluster.deployments) == {"ledger", "enricher/0", "supervisor"}


@pytest.mark.parametrize("is_running", [True, False])
def test_an_upgrade_does_not_wait_for_a_ledger_that_it_will_migrate(is_running: bool) -> None:
    """While loops deliver already there is nothing to wait for; without them, the former ledger cannot be prepared."""
    cluster = FakeCluster(deployment(2, version="0.9"), **everyone(deployment(1)))
    if not is_running:
        del cluster.deployments["supervisor"]

    async def prepare() -> None:
        cluster.log.append("prepare")
        raise NotMigrated("the ledger is at schema version 1 and not migrated to 2 yet")

    run(Rollout(cast(ActorClient, cast(Any, cluster)), cluster, cluster.mine, 2, prepare).set_up())

    assert cluster.log == ([] if is_running else ["prepare", "start supervisor"])


def test_up_to_date_actors_are_kept() -> None:
    """A front end that restarts with the same settings changes nothing."""
    cluster = FakeCluster(deployment(2), **everyone(deployment(1)))
    rollout = rollout_of(cluster)
    run(rollout.set_up())
    run(rollout.update())

    assert cluster.log == []


def test_actors_of_an_earlier_start_are_replaced_one_after_the_other() -> None:
    """The ledger finishes its writes first, and the supervisor replaces the loop hosts."""
    cluster = FakeCluster(deployment(2, delivery_timeout="20"), **everyone(deployment(1)))
    run(rollout_of(cluster).update())

    assert list(cluster.deployments.values()) == [cluster.mine] * 6
    assert cluster.log == [
        *("stop ledger", "end ledger", "start ledger"),
        *("end enricher/0", "start enricher/0"),
        *("end enricher/1", "start enricher/1"),
        *("suspend supervisor", "end supervisor", "start supervisor"),
        f"replace {HOST}",
        f"replace {LOOP}",
    ]


def test_actors_of_another_version_are_replaced_on_this_machine() -> None:
    """Other machines may still have the old version; the ledger comes first, because it migrates the store."""
    mine = replace(deployment(2), version="2")
    cluster = FakeCluster(mine, **everyone(deployment(1)))
    run(rollout_of(cluster).update())

    assert [entry for entry in cluster.log if entry.startswith("start")] == [
        *("start ledger here", "start enricher/0 here", "start enricher/1 here", "start supervisor here")
    ]


def test_an_actor_that_does_not_stop_is_replaced_anyway() -> None:
    """A ledger that hangs does not hold up a new version."""
    cluster = FakeCluster(deployment(2, delivery_timeout="20"), **everyone(deployment(1)))
    cluster.stubborn = {actor_names.LEDGER}
    run(rollout_of(cluster).update())

    assert list(cluster.deployments.values()) == [cluster.mine] * 6


def test_a_silent_loop_does_not_block_the_rollout() -> None:
    """The service becomes ready although the actor of one loop is away."""
    cluster = FakeCluster(deployment(2, delivery_timeout="20"), **everyone(deployment(1)))
    cluster.silent = {LOOP}
    rollout = rollout_of(cluster)
    before = rollout.problem
    run(rollout.update())

    assert (before is not None, rollout.problem) == (True, None)
    assert cluster.deployments[LOOP] == deployment(1)


def test_actors_of_a_later_start_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A gateway that restarts with older settings does not undo a change; it logs the differences."""
    cluster = FakeCluster(deployment(1), **everyone(deployment(2, delivery_timeout="20")))
    rollout = rollout_of(cluster)
    run(rollout.set_up())
    run(rollout.update())

    assert cluster.log == []
    assert {vars(record)["differences"] for record in caplog.records} == {"delivery_timeout"}


def test_only_outdated_actors_are_replaced() -> None:
    """An interrupted rollout goes on where it stopped."""
    old, new = deployment(1), deployment(2, delivery_timeout="20")
    cluster = FakeCluster(new, **everyone(new) | {"supervisor": old})
    run(rollout_of(cluster).update())

    assert cluster.log == ["suspend supervisor", "end supervisor", "start supervisor"]


def test_actors_of_another_installation_are_kept() -> None:
    """Nothing is started or replaced, and the message says what to do."""
    mine = deployment(2)
    theirs = Deployment(started_ms=1, version="1", installation="bb", options=mine.options)
    cluster = FakeCluster(mine, ledger=theirs)
    with pytest.raises(Conflict, match="another installation a Ray of its own"):
        run(rollout_of(cluster).set_up())

    assert cluster.log == []


def test_an_actor_being_replaced_by_a_later_start_is_not_started() -> None:
    """It is missing for a moment, in which an older gateway must not start it with older settings."""
    mine, later = deployment(1), deployment(2, delivery_timeout="20")
    cluster = FakeCluster(mine, **everyone(mine))

    async def keep() -> None:
        keeping = asyncio.create_task(rollout_of(cluster).keep())
        await asyncio.sleep(CHECK_S - MISSING_S / 4)
        del cluster.deployments["ledger"]
        await asyncio.sleep(MISSING_S / 2)
        cluster.deployments["ledger"] = later
        await asyncio.sleep(2 * CHECK_S)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    run(keep())

    assert cluster.log == []
    assert cluster.deployments["ledger"] == later


def test_an_actor_that_was_killed_for_good_is_started_again() -> None:
    """Ray restarts actors that die; one that was killed for good is noticed within seconds."""
    mine = deployment(1)
    cluster = FakeCluster(mine, **everyone(mine))

    async def keep() -> None:
        keeping = asyncio.create_task(rollout_of(cluster).keep())
        await asyncio.sleep(CHECK_S / 2)
        del cluster.deployments["enricher/1"]
        await asyncio.sleep(CHECK_S)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    run(keep())

    assert cluster.log == ["start enricher/1"]
