"""A cluster gets a new version, and the old one again: no promise is broken, and both work together meanwhile."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from actors.version import VERSION
from tests.chaos.service_under_load import Allowed
from tests.cluster.cluster_fixture import Cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.faults import TESTED_LATE_S
from tests.cluster.upgrade import Upgrade, has_one_version
from tests.next_version import NEXT_VERSION, make_next_version
from tests.paths import ROOT
from tests.service import eventually

SEED = 20261126


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_next_version(tmp_path_factory.mktemp("next"))


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.parametrize("version", [NEXT_VERSION, VERSION], ids=["to the next version", "and back"])
def test_an_upgrade_breaks_no_promise(
    cluster: Cluster, load: ClusterUnderLoad, next_version: Path, version: str
) -> None:
    """Under load every front end is replaced, with new fields on every wire, a new option and a newer ledger.

    At first loops are still on their way to processes of their own; those that start meanwhile are of the next version.

    Nothing is lost or recorded twice, no click is late; `/metrics` and `/readyz` of old and new front ends work all the
    while; in the end every actor runs the version of the front ends.
    """
    code = next_version if version == NEXT_VERSION else ROOT
    allowed = Allowed(recovery_s=TESTED_LATE_S, repeats=True, delay_s=TESTED_LATE_S)
    upgrade = Upgrade(cluster, f"upgrade to {version}", code, allowed)
    row = load.round(upgrade)

    print(row, f"not ready for {upgrade.pages.unready_s():.1f} s at most")
    assert row.broken_promises() == []
    assert row.answered > 0
    assert upgrade.pages.failures() == []
    for edge in cluster.edges:
        assert edge.http.get("/openapi.json").json()["info"]["version"] == version
        eventually(partial(has_one_version, edge), 10, "every actor runs this version")
