"""A cluster of three machines for all tests of clusters, and load on it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.cluster.cluster_storm import ClusterStorm
from tests.cluster.matrix import RATE
from tests.cluster.network import reason_to_skip
from tests.cluster.town import Town, town


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A cluster of this version, whose head keeps its records."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with town(tmp_path_factory.mktemp("cluster"), with_redis=True) as made:
        yield made


@pytest.fixture(scope="module")
def storm(cluster: Town, request: pytest.FixtureRequest) -> Iterator[ClusterStorm]:
    """The cluster, under load; the module's `SEED` decides what is by chance. Its loops are gone afterwards."""
    cluster.sink.tell("reset")
    made = ClusterStorm(cluster, random.Random(request.module.SEED), RATE)
    yield made
    made.remove_loops()
