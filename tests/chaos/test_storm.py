"""A short storm: every kind of process is killed once under load, and every promise is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.storm import RECOVERY_S, Storm
from tests.service import running

SEED = 20261123


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    """A service under load, for the whole module."""
    folder: Path = tmp_path_factory.mktemp("storm")
    with running(folder / "data") as (service, sink):
        yield Storm(service, sink, random.Random(SEED))


@pytest.mark.chaos
@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", [name for name in RECOVERY_S if name != "keeper"])
def test_the_loss_of_a_process_loses_nothing(storm: Storm, victim: str) -> None:
    """I1, I3, I4: after kill -9 under load all that was answered is delivered, and nothing is recorded twice."""
    row = storm.round(victim)

    print(row)
    assert row.broken_promises() == []
    assert row.answered > 0
