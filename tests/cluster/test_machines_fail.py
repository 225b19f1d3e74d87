"""Failures in a cluster of three machines: every promise is kept. `make chaos` runs the whole matrix."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.chaos.service_under_load import Fault
from tests.cluster.cluster_fixture import Cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.faults import TESTED_LATE_S, HeadKilled, PowerCut, RollingRestart
from tests.cluster.matrix import SAME_HEAD_S
from tests.ports import is_frame_server

SEED = 20261125


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.parametrize("which", ["rolling restart", "head killed", "power of an edge"])
def test_a_machine_fails_and_no_promise_is_broken(cluster: Cluster, load: ClusterUnderLoad, which: str) -> None:
    """I1 to I4 hold when a machine fails, and an orderly restart delays no click for long."""
    edge = cluster.edges[-1].machine
    faults: dict[str, Fault] = {
        "rolling restart": RollingRestart(cluster, TESTED_LATE_S),
        "head killed": HeadKilled(cluster, which, SAME_HEAD_S),
        "power of an edge": PowerCut(cluster, which, lambda: edge, 2.0),
    }
    row = load.round(faults[which])

    print(row)
    assert row.broken_promises() == []
    assert row.answered > 0


def test_another_master_key_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """A front end with a different master key does not join the cluster, and its `/readyz` names the setting."""
    stranger = cluster.another_edge(tmp_path, FEEDBACK_LOOPS_MASTER_KEY="ab" * 32)
    try:
        stranger.start(wait=False)
        stranger.wait_for_problem("FEEDBACK_LOOPS_MASTER_KEY")
    finally:
        stranger.end()
    cluster.wait_ready()


def test_actors_only_listen_on_the_network_between_the_machines(cluster: Cluster) -> None:
    """Clients, who reach the front ends on another network, cannot reach the actors' frame servers there."""
    servers = [
        (machine, port)
        for machine in cluster.machines
        for host, port in machine.listening()
        if host in {machine.inside, "0.0.0.0"} and is_frame_server(machine.inside, port)
    ]
    assert servers, "at least the supervisor listens"
    for machine, port in servers:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((machine.outside, port), timeout=5)


def test_sqlite_is_refused_on_several_machines(cluster: Cluster, tmp_path: Path) -> None:
    """SQLite keeps the ledger on one machine, so a cluster refuses it, and the message names the option to set."""
    stranger = cluster.another_edge(tmp_path, FEEDBACK_LOOPS_STORE="")
    try:
        stranger.start(wait=False)
        stranger.wait_for_problem("--store postgresql://")
    finally:
        stranger.end()
