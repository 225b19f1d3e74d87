"""Distribution of tests over processes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.parallel import LONGEST_FIRST, ONE_SERVICE, rank, scope
from tests.paths import TESTS


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [
        ("tests/e2e/test_keeper.py::test_a[tests/x::y]", "tests/e2e/test_keeper.py"),
        ("tests/unit/actors/ipc/test_pool.py::Pool::test_a", "tests/unit/actors/ipc/test_pool.py"),
        ("tests/cluster/test_upgrade.py::test_a", "cluster"),
        ("tests/e2e/test_metrics.py::test_a", "e2e with one service"),
    ],
)
def test_the_scope_of_a_test_is_its_file_or_a_group_of_files(node_id: str, expected: str) -> None:
    """Tests that share fixtures run in one process."""
    assert scope(node_id) == expected


def test_long_files_start_first() -> None:
    """Clusters start first and unit tests last, of `e2e` those with one service; every name in the order exists."""
    ranks = {path: rank(PurePosixPath(path.relative_to(TESTS))) for path in TESTS.rglob("test_*.py")}

    assert min(ranks, key=ranks.__getitem__).parent.name == "cluster"
    assert ranks[Path(__file__)] == max(ranks.values())
    assert [name for name in LONGEST_FIRST if not (TESTS / name).exists()] == []
    assert (
        ranks[TESTS / "e2e/test_metrics.py"] < ranks[TESTS / "e2e/test_stop.py"] < ranks[TESTS / "browser/test_walk.py"]
    )


def test_files_that_share_the_service_are_known() -> None:
    """One process starts the service of `e2e` for all files that use it, unless they run alone or have their own."""
    found = {path.name for path in (TESTS / "e2e").glob("test_*.py") if _uses_the_package_s_service(path)}
    assert found == ONE_SERVICE


def _uses_the_package_s_service(path: Path) -> bool:
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    is_own = any(function.name == "service" for function in functions)
    is_alone = "pytestmark" in text and "pytest.mark.alone]" in text
    return (
        not is_own and not is_alone and any("service" in names or "account" in names for names in _requested(functions))
    )


def _requested(functions: list[ast.FunctionDef]) -> Iterator[set[str]]:
    """Fixtures that tests and fixtures ask for."""
    for function in functions:
        is_fixture = any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)
        if is_fixture or function.name.startswith("test_"):
            yield {argument.arg for argument in function.args.args}
