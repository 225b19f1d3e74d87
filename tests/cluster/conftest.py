"""A cluster of three machines for all tests of a module, and load on it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.cluster.cluster_fixture import Cluster, running_cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.matrix import RATE
from tests.cluster.network import reason_to_skip

#: Three machines and their users share the processors with other tests, which are not in as much of a hurry.
PRECEDENCE = 5


@pytest.fixture(scope="module")
def precedence() -> Iterator[None]:
    """Processes that are started meanwhile are served before those of other tests."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, niceness - PRECEDENCE)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, niceness)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of this version, whose head keeps its records."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    request.getfixturevalue("precedence")  # root's alone, as networks are
    with running_cluster(tmp_path_factory.mktemp("cluster"), with_redis=True) as made:
        yield made


@pytest.fixture(scope="module")
def load(cluster: Cluster, request: pytest.FixtureRequest) -> ClusterUnderLoad:
    """The cluster, under load; the module's `SEED` decides what is by chance."""
    return ClusterUnderLoad(cluster, random.Random(request.module.SEED), RATE)
