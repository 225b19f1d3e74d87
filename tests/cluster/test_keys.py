"""Keys of a cluster of three machines: rotations while a machine is off, and no secret in Ray's head or in Redis."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.cluster_fixture import Cluster
from tests.cluster.ray_on_machines import GCS, RAYLET
from tests.e2e.key_runbooks import keys, make, rotate, wait_until_rotated, works
from tests.e2e.process_memory import memory
from tests.service import eventually


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_rotation_waits_for_a_machine_that_is_off(cluster: Cluster) -> None:
    """It ends when the machine is back. What was made before works on both front ends, before and after."""
    here, off = cluster.edges
    made = make(here, here.account(), "before")
    before = keys(here)["keys"][-1]["id"]
    assert works(off, made)["link"] == 302
    off.terminate()
    rotate(here, "rotate")

    def awaited() -> dict[str, Any] | None:
        status = keys(here)
        return status if any(each["is_awaited"] for each in status["front_ends"]) else None

    status: dict[str, Any] = eventually(awaited, 10, "the rotation waits")
    assert [key["state"] for key in status["keys"]][-2:] == ["signs", "waits"]
    during = make(here, made.account, "during")
    off.start()
    status = wait_until_rotated(here)

    assert [key["id"] for key in status["keys"] if key["state"] == "signs"] == [before + 1]
    after = make(off, made.account, "after")
    for edge in (here, off):
        results = [works(edge, each) for each in (made, during, after)]
        assert [(result["link"], result["password"]) for result in results] == [(302, True)] * 3
    assert works(here, after)["secret"] == "same"
    assert works(here, made)["secret"] == "new"


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(120)
def test_ray_and_redis_have_no_secret(cluster: Cluster) -> None:
    """Neither the memory of Ray's own processes on any machine, nor Redis' file has a key of the service."""
    edge = cluster.edges[0]
    secrets = [edge.environment[f"FEEDBACK_LOOPS_{name}"].encode() for name in ("MASTER_KEY", "ADMIN_KEY", "STORE")]
    searched = 0
    for machine in cluster.machines:
        for process in machine.processes(GCS, RAYLET):
            searched += 1
            for part in memory(process.pid):
                assert not [secret for secret in secrets if secret in part], process
    assert searched >= 4
    (log,) = (cluster.folder / "redis").rglob("*.aof")
    text = log.read_bytes()
    assert b"LedgerActor" in text
    assert not [secret for secret in secrets if secret in text]
