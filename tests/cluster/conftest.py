"""A cluster of three machines for all tests of a module, and load on it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.cluster.cluster_storm import ClusterStorm
from tests.cluster.matrix import RATE
from tests.cluster.network import reason_to_skip
from tests.cluster.town import Town, town


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A cluster of this version, whose head keeps its records."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with town(tmp_path_factory.mktemp("cluster"), with_redis=True) as made:
        yield made


@pytest.fixture(scope="module")
def storm(cluster: Town, request: pytest.FixtureRequest) -> ClusterStorm:
    """The cluster, under load; the module's `SEED` decides what is by chance."""
    return ClusterStorm(cluster, random.Random(request.module.SEED), RATE)
