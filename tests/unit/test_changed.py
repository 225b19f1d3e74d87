"""Selection of the tests for changed files."""

from __future__ import annotations

import pytest

from tests.changed import ALWAYS, chosen_tests

FILES = {
    "actors/ipc/pool.py": "from actors.ipc import frames\n",
    "actors/ipc/frames.py": "",
    "tests/lane_fixture.py": "from tests.fakes import Clock\n",
    "tests/fakes.py": "import actors.ipc.frames\nfrom tests import lane_fixture\n",
    "tests/e2e/test_pool.py": "import actors.ipc.pool\n",
    "tests/unit/test_house.py": "",
    "tests/unit/actors/ipc/test_pool.py": "",
    "tests/unit/actors/ipc/test_pool_at_work.py": "",
    "tests/unit/api/test_page.py": "PAGE = ROOT / 'docs/page.html'\n",
    "tests/unit/api/fake_page.py": "",
    "tests/properties/test_lane.py": "from tests import lane_fixture\n",
    "tests/properties/test_pool.py": "from actors.ipc.pool import Pool\n",
}
POOL = "tests/unit/actors/ipc/test_pool.py"
POOL_AT_WORK = "tests/unit/actors/ipc/test_pool_at_work.py"


@pytest.mark.parametrize(
    ("changed", "belong"),
    [
        ("actors/ipc/pool.py", {POOL, POOL_AT_WORK, "tests/properties/test_pool.py"}),
        ("actors/ipc/frames.py", {"tests/properties/test_lane.py"}),
        ("actors/ipc/removed.py", set()),
        ("tests/fakes.py", {"tests/properties/test_lane.py"}),
        (POOL, {POOL}),
        ("tests/e2e/test_pool.py", set()),
        ("tests/unit/api/conftest.py", {"tests/unit/api/test_page.py"}),
        ("api/dashboard/page.html", {"tests/unit/api/test_page.py"}),
    ],
)
def test_the_tests_of_a_changed_file(changed: str, belong: set[str]) -> None:
    """They mirror it, import it, name it or are it; only unit and property tests are chosen."""
    assert set(chosen_tests({changed}, FILES)) == {ALWAYS, *belong}


def test_nothing_changed() -> None:
    """Without a change no test is chosen."""
    assert chosen_tests(set(), FILES) == []
