"""Upgrade of a cluster to the next version and back: no promise is broken, and both versions work together."""

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
    """No click is lost, recorded twice or late while all front ends are replaced under load.

    The other version has new fields in every message, a new option and a newer ledger. Loops are still moving to
    separate processes at first; processes that start meanwhile run the other version. `/metrics` and `/readyz` of old
    and new front ends work throughout. In the end, every actor runs the version of the front ends.
    """
    code = next_version if version == NEXT_VERSION else ROOT
    allowed = Allowed(recovery_s=TESTED_LATE_S, repeats=True, delay_s=TESTED_LATE_S)
    upgrade = Upgrade(cluster, f"upgrade to {version}", code, allowed)
    row = load.round(upgrade)

    print(row, f"not ready for at most {upgrade.pages.unready_s():.1f} s")
    assert row.broken_promises() == []
    assert row.answered > 0
    assert upgrade.pages.failures() == []
    for edge in cluster.edges:
        assert edge.http.get("/openapi.json").json()["info"]["version"] == version
        eventually(partial(has_one_version, edge), 10, "every actor runs this version")
