"""Distribution of tests over processes."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tests.parallel import rank, scope
from tests.paths import TESTS


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [
        ("tests/e2e/test_keeper.py::test_a[tests/x::y]", "tests/e2e/test_keeper.py"),
        ("tests/unit/actors/ipc/test_pool.py::Pool::test_a", "tests/unit/actors/ipc/test_pool.py"),
        ("tests/cluster/test_upgrade.py::test_a", "cluster"),
    ],
)
def test_the_scope_of_a_test_is_its_file_or_its_kind(node_id: str, expected: str) -> None:
    """Tests that share fixtures run in one process."""
    assert scope(node_id) == expected


def test_long_files_start_first() -> None:
    """Every kind of tests has a rank; chaos tests start first, and unit tests last."""
    kinds = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    ranks = {kind: rank(PurePosixPath(kind, "test_a.py")) for kind in kinds}

    assert min(ranks, key=ranks.__getitem__) == "chaos"
    assert ranks["unit"] == max(ranks.values())
