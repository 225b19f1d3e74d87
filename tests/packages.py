"""Distributions of the project, built from a copy of the checkout: wheel and sdist."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.paths import ROOT

_BUILD: Final = """
import sys
from setuptools import build_meta
print(getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2]))
"""


def project_files() -> list[str]:
    """The paths of all files that git has, or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_symlink() | (ROOT / path).exists())


def copy_project(target: Path) -> Path:
    """Copies the project's files, without what git ignores. Links stay links."""
    for path in project_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path, follow_symlinks=False)
    return target


def build(kind: str, source: Path, target: Path) -> Path:
    """Builds a `wheel` or an `sdist` of a copy of the project, which this changes. Downloads nothing."""
    target.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _BUILD, kind, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]
