"""The gateway process: where the ledger runs, and the wait for the actors."""

from __future__ import annotations

from typing import Any, cast

import pytest

from actors.gateway import main as gateway_main
from actors.gateway.main import ledger_at
from actors.ray_runtime.join import JoinedRay
from actors.ray_runtime.rollout import Rollout
from actors.settings import Settings
from domain.errors import Conflict, StoreError, StoreUnavailable
from tests.virtual_time import VirtualLoop

SQLITE_ON_A_CLUSTER = Settings.from_env({}, ray_address="10.0.0.1:6379")
POSTGRESQL = Settings.from_env({}, ray_address="10.0.0.1:6379", store="postgresql://db/feedback_loops")


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
