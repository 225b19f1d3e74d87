"""Secrets of a cluster of three machines: none is in Ray's own processes or in Redis."""

from __future__ import annotations

import pytest

from tests.cluster.cluster_fixture import Cluster
from tests.cluster.ray_on_machines import GCS, RAYLET
from tests.e2e.process_memory import memory


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
