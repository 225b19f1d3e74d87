"""The matrix of faults in its short form: each comes once, under load, and every promise is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.matrix import a_storm, faults
from tests.chaos.storm import Fault, Storm

SEED = 20261123
RATE = 100.0


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    """A service under load, for the whole module."""
    folder: Path = tmp_path_factory.mktemp("storm")
    with a_storm(folder, random.Random(SEED), RATE) as storm:
        yield storm


@pytest.mark.chaos
@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", faults(is_short=True), ids=lambda fault: fault.name)
def test_a_fault_breaks_no_promise(storm: Storm, fault: Fault) -> None:
    """I1 to I4: all that was answered is delivered, in time, nothing is recorded twice, and repeats have a reason."""
    if reason := fault.reason_to_skip(storm):
        pytest.skip(reason)
    row = storm.round(fault)

    print(row)
    assert row.broken_promises() == []
    assert row.answered > 0
