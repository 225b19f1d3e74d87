"""The short fault matrix: each fault is injected once under load, and every promise is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.matrix import faults, service_under_load
from tests.chaos.service_under_load import Fault, ServiceUnderLoad

SEED = 20261123
RATE = 100.0


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceUnderLoad]:
    """A service under load, for the whole module."""
    folder: Path = tmp_path_factory.mktemp("load")
    with service_under_load(folder, random.Random(SEED), RATE) as load:
        yield load


@pytest.mark.chaos
@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", faults(is_short=True), ids=lambda fault: fault.name)
def test_a_fault_breaks_no_promise(load: ServiceUnderLoad, fault: Fault) -> None:
    """I1 to I4: every answered click is delivered in time, none is recorded twice, and repeats have a known cause."""
    if reason := fault.reason_to_skip(load):
        pytest.skip(reason)
    row = load.round(fault)

    print(row)
    assert row.broken_promises() == []
    assert row.answered > 0
