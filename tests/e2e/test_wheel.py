"""The wheel, in a fresh environment outside the checkout, used by a user without rights."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.packages import build, copy_project
from tests.unprivileged import UID
from tests.wheel import Environment, public_folder


@pytest.mark.timeout(400)
def test_the_wheel_runs_without_rights_and_without_the_checkout(tmp_path: Path) -> None:
    """Demo, serve, restart, backup, restore and assets. `make wheels` does it with each Python and fresh libraries."""
    wheel = build("wheel", copy_project(tmp_path / "source"), tmp_path / "dist")
    with public_folder() as public:
        environment = Environment(public, Path(sys.executable), wheel, Path(sysconfig.get_path("purelib")))
        environment.install()
        code = environment.run("environment/bin/python", "-I", "-c", "import api; print(api.__file__)")
        assert Path(code.strip()).is_relative_to(public)

        shown = environment.walk()
        print(shown)

        assert f"user {UID if os.geteuid() == 0 else os.geteuid()}" in shown
        assert shown.rstrip().endswith("$ feedback-loops assets assets")
