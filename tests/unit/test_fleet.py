"""The fleet: what is missing is started, what is outdated replaced, and a later start's decision is left alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from actors import options
from actors.gateway.edition import Edition
from actors.gateway.fleet import LOOK_S, Fleet
from actors.ray_calls import Actors
from domain.errors import Conflict, Unavailable
from tests.virtual_time import VirtualLoop

LOOP = options.loop_name("fl_1")


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

    # --- the launcher

    def there(self) -> set[str]:
        return set(self.running)

    def start(self, name: str) -> None:
        if name not in self.running:
            self.said.append(f"start {name}")
            self.running[name] = self.mine

    def warm_up(self) -> None:
        self.said.append("warm up")

    def end(self, name: str) -> None:
        self.said.append(f"end {name}")
        self.running.pop(name, None)

    # --- the actors

    def forget(self, name: str) -> None:
        """Nothing is kept."""

    async def ask(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        if name not in self.running:
            raise Unavailable(f"{name} is not running")
        if method == "edition":
            return self.running[name].text()
        if method == "stop":
            self.said.append(f"stop {name}")
            if name in self.stubborn:
                raise Unavailable(f"{name} is away")
        if method == "warm_up":
            self.said.append(f"{name} warms up")
        if method == "replace":
            self.said.append(f"replace {args[0]}")
            self.running[args[0]] = self.mine
        return None


def fleet_of(cluster: FakeCluster, enrichers: int = 2) -> Fleet:
    return Fleet(cast(Actors, cast(Any, cluster)), cluster, cluster.mine, enrichers)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


EVERYBODY = ["ledger", "enricher/0", "enricher/1", "supervisor"]


def everybody(theirs: Edition) -> dict[str, Edition]:
    return dict.fromkeys([*EVERYBODY, LOOP], theirs)


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
    """An old one ends only when a process for the next is warm, and the supervisor replaces those of loops."""
    cluster = FakeCluster(edition(2, delivery_timeout="20"), **everybody(edition(1)))
    run(fleet_of(cluster).renew())

    assert list(cluster.running.values()) == [cluster.mine] * 5
    assert cluster.said == [
        *("warm up", "end enricher/0", "start enricher/0"),
        *("warm up", "end enricher/1", "start enricher/1"),
        *("warm up", "stop ledger", "end ledger", "start ledger"),
        *("warm up", "end supervisor", "start supervisor"),
        *("supervisor warms up", f"replace {LOOP}"),
    ]


def test_one_that_does_not_stop_is_replaced_all_the_same() -> None:
    """A ledger that hangs does not hold up a new version."""
    cluster = FakeCluster(edition(2, delivery_timeout="20"), **everybody(edition(1)))
    cluster.stubborn = {options.LEDGER}
    run(fleet_of(cluster).renew())

    assert list(cluster.running.values()) == [cluster.mine] * 5


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

    assert cluster.said == ["warm up", "end supervisor", "start supervisor"]


def test_actors_of_another_installation_are_not_touched() -> None:
    """With another master key nothing is started or replaced, and the message names the setting."""
    mine = edition(2)
    theirs = Edition(started_ms=1, version="1", installation="bb", options=mine.options)
    cluster = FakeCluster(mine, ledger=theirs)
    with pytest.raises(Conflict, match="FEEDBACK_LOOPS_MASTER_KEY"):
        run(fleet_of(cluster).set_up())

    assert cluster.said == []


def test_what_somebody_ended_for_good_is_started_again() -> None:
    """Ray restarts what dies; what was killed for good is found missing within seconds."""
    mine = edition(1)
    cluster = FakeCluster(mine, **everybody(mine))
    loop = VirtualLoop()

    async def keep() -> None:
        keeping = asyncio.create_task(fleet_of(cluster).keep())
        await asyncio.sleep(LOOK_S / 2)
        del cluster.running["enricher/1"]
        await asyncio.sleep(LOOK_S)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    try:
        loop.run(keep())
    finally:
        loop.close()
    assert cluster.said == ["start enricher/1"]
