"""The fleet: what is missing is started, what is outdated replaced, and a later start's decision is left alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from actors.ray_runtime.deployment import Edition
from actors.ray_runtime.rollout import LOOK_S, MISSING_S, Fleet
from domain.errors import Conflict, Unavailable
from tests.virtual_time import VirtualLoop

LOOP = options.loop_name("fl_1")
HOST = options.host_name(0)


def edition(started_ms: int, **texts: str) -> Edition:
    return Edition(started_ms=started_ms, version="1", installation="aa", options={"delivery_timeout": "15"} | texts)


class FakeCluster:
    """Named actors as Ray has them: each has the edition that it was started with. It is `Actors` and `Launcher`."""

    def __init__(self, mine: Edition, **there: Edition) -> None:
        self.mine = mine
        self.running = dict(there)
        self.said: list[str] = []
        #: Names whose `stop` fails.
        self.stubborn: set[str] = set()
        #: Names that are there and do not answer.
        self.silent: set[str] = set()

    # --- the launcher

    def there(self) -> set[str]:
        return set(self.running)

    def start(self, name: str, *, here: bool = False) -> None:
        if name not in self.running:
            self.said.append(f"start {name}{' here' if here else ''}")
            self.running[name] = self.mine

    def end(self, name: str) -> None:
        self.said.append(f"end {name}")
        self.running.pop(name, None)

    # --- the actors

    def forget(self, name: str) -> None:
        """Nothing is kept."""

    async def ask(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        if name not in self.running or name in self.silent:
            raise Unavailable(f"{name} is not running")
        if method == "edition":
            return self.running[name].text()
        if method in {"stop", "rest"}:
            self.said.append(f"{method} {name}")
            if name in self.stubborn:
                raise Unavailable(f"{name} is away")
        if method == "replace":
            if args[0] in self.stubborn:
                raise Unavailable(f"{args[0]} is away")
            self.said.append(f"replace {args[0]}")
            self.running[args[0]] = self.mine
        return None


def fleet_of(cluster: FakeCluster, enrichers: int = 2) -> Fleet:
    return Fleet(cast(Actors, cast(Any, cluster)), cluster, cluster.mine, enrichers)


def run(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run(work)
    finally:
        loop.close()


EVERYBODY = ["ledger", "enricher/0", "enricher/1", "supervisor"]


def everybody(theirs: Edition) -> dict[str, Edition]:
    return dict.fromkeys([*EVERYBODY, LOOP, HOST], theirs)


def test_what_is_missing_is_started_the_ledger_first() -> None:
    """On an empty Ray all of them are started; the store is made before anybody reads it."""
    cluster = FakeCluster(edition(1))
    run(fleet_of(cluster).set_up())

    assert set(cluster.running) == set(EVERYBODY)
    assert cluster.said[0] == "start ledger"


def test_what_is_there_is_left_alone() -> None:
    """A front end that is restarted with the settings that it had changes nothing."""
    cluster = FakeCluster(edition(2), **everybody(edition(1)))
    fleet = fleet_of(cluster)
    run(fleet.set_up())
    run(fleet.renew())

    assert cluster.said == []


def test_what_an_earlier_start_decided_is_replaced_one_after_the_other() -> None:
    """One at a time; what the ledger has in hand is recorded first, and the supervisor replaces those of loops."""
    cluster = FakeCluster(edition(2, delivery_timeout="20"), **everybody(edition(1)))
    run(fleet_of(cluster).renew())

    assert list(cluster.running.values()) == [cluster.mine] * 6
    assert cluster.said == [
        *("stop ledger", "end ledger", "start ledger"),
        *("end enricher/0", "start enricher/0"),
        *("end enricher/1", "start enricher/1"),
        *("rest supervisor", "end supervisor", "start supervisor"),
        f"replace {HOST}",
        f"replace {LOOP}",
    ]


def test_another_version_is_replaced_where_ours_is() -> None:
    """On other machines the program may still be the old one; the store's schema is the first thing that is new."""
    mine = replace(edition(2), version="2")
    cluster = FakeCluster(mine, **everybody(edition(1)))
    run(fleet_of(cluster).renew())

    assert [said for said in cluster.said if said.startswith("start")] == [
        *("start ledger here", "start enricher/0 here", "start enricher/1 here", "start supervisor here")
    ]


def test_one_that_does_not_stop_is_replaced_all_the_same() -> None:
    """A ledger that hangs does not hold up a new version."""
    cluster = FakeCluster(edition(2, delivery_timeout="20"), **everybody(edition(1)))
    cluster.stubborn = {options.LEDGER}
    run(fleet_of(cluster).renew())

    assert list(cluster.running.values()) == [cluster.mine] * 6


def test_a_loop_that_does_not_answer_holds_nobody_up() -> None:
    """The service is ready again though one loop's actor is away: that loop waits for itself."""
    cluster = FakeCluster(edition(2, delivery_timeout="20"), **everybody(edition(1)))
    cluster.silent = {LOOP}
    fleet = fleet_of(cluster)
    before = fleet.problem
    run(fleet.renew())

    assert (before is not None, fleet.problem) == (True, None)
    assert cluster.running[LOOP] == edition(1)


def test_what_a_later_start_decided_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A gateway that is restarted by itself, with older settings, does not undo a change; it says what differs."""
    cluster = FakeCluster(edition(1), **everybody(edition(2, delivery_timeout="20")))
    fleet = fleet_of(cluster)
    run(fleet.set_up())
    run(fleet.renew())

    assert cluster.said == []
    assert {vars(record)["differences"] for record in caplog.records} == {"delivery_timeout"}


def test_only_what_is_outdated_is_replaced() -> None:
    """A renewal that was broken off goes on where it was."""
    old, new = edition(1), edition(2, delivery_timeout="20")
    cluster = FakeCluster(new, **everybody(new) | {"supervisor": old})
    run(fleet_of(cluster).renew())

    assert cluster.said == ["rest supervisor", "end supervisor", "start supervisor"]


def test_actors_of_another_installation_are_not_touched() -> None:
    """With another master key nothing is started or replaced, and the message names the setting."""
    mine = edition(2)
    theirs = Edition(started_ms=1, version="1", installation="bb", options=mine.options)
    cluster = FakeCluster(mine, ledger=theirs)
    with pytest.raises(Conflict, match="FEEDBACK_LOOPS_MASTER_KEY"):
        run(fleet_of(cluster).set_up())

    assert cluster.said == []


def test_what_a_later_start_replaces_is_left_to_it() -> None:
    """Between its end and its new beginning an actor is missing; an older gateway would start it as it was."""
    mine, later = edition(1), edition(2, delivery_timeout="20")
    cluster = FakeCluster(mine, **everybody(mine))

    async def keep() -> None:
        keeping = asyncio.create_task(fleet_of(cluster).keep())
        await asyncio.sleep(LOOK_S - MISSING_S / 4)
        del cluster.running["ledger"]
        await asyncio.sleep(MISSING_S / 2)
        cluster.running["ledger"] = later
        await asyncio.sleep(2 * LOOK_S)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    run(keep())

    assert cluster.said == []
    assert cluster.running["ledger"] == later


def test_what_somebody_ended_for_good_is_started_again() -> None:
    """Ray restarts what dies; what was killed for good is found missing within seconds."""
    mine = edition(1)
    cluster = FakeCluster(mine, **everybody(mine))

    async def keep() -> None:
        keeping = asyncio.create_task(fleet_of(cluster).keep())
        await asyncio.sleep(LOOK_S / 2)
        del cluster.running["enricher/1"]
        await asyncio.sleep(LOOK_S)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    run(keep())

    assert cluster.said == ["start enricher/1"]
