"""A cluster gets a new version, and the old one again: no promise is broken, and both work together meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actors.user_agent import VERSION
from tests.chaos.storm import Allowed
from tests.cluster.cluster_storm import ClusterStorm
from tests.cluster.matrix import RATE
from tests.cluster.network import reason_to_skip
from tests.cluster.test_machines_fail import LATE_S
from tests.cluster.town import Town, town
from tests.cluster.upgrade import Upgrade, has_one_version
from tests.next_version import NEXT_VERSION, make_next_version
from tests.service import ROOT, eventually

SEED = 20261126


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A cluster of this version, for the whole module."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with town(tmp_path_factory.mktemp("cluster"), with_redis=True) as made:
        yield made


@pytest.fixture(scope="module")
def storm(cluster: Town) -> ClusterStorm:
    """The cluster, under load."""
    return ClusterStorm(cluster, random.Random(SEED), RATE)


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_next_version(tmp_path_factory.mktemp("next"))


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.parametrize("version", [NEXT_VERSION, VERSION], ids=["to the next version", "and back"])
def test_an_upgrade_breaks_no_promise(cluster: Town, storm: ClusterStorm, next_version: Path, version: str) -> None:
    """Under load every front end is replaced, with new fields on every wire, a new option and a newer ledger.

    At first loops are still on their way to processes of their own; those that start meanwhile are of the next version.

    Nothing is lost or recorded twice, no click is late; `/metrics` and `/readyz` of old and new front ends work all the
    while; in the end every actor runs the version of the front ends.
    """
    code = next_version if version == NEXT_VERSION else ROOT
    allowed = Allowed(recovery_s=LATE_S, repeats=True, delay_s=LATE_S)
    upgrade = Upgrade(cluster, f"upgrade to {version}", code, allowed)
    row = storm.round(upgrade)

    print(row, f"not ready for {upgrade.pages.unready_s():.1f} s at most")
    assert row.broken_promises() == []
    assert row.answered > 0
    assert upgrade.pages.failures() == []
    for edge in cluster.edges:
        assert edge.http.get("/openapi.json").json()["info"]["version"] == version
        eventually(partial(has_one_version, edge), 10, "every actor runs this version")
