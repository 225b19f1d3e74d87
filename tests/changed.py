"""Unit and property tests of the files that changed since the branch left `main`, committed or not.

python -m tests.changed     runs them

A test is selected if it has changed itself, or if it mirrors, imports (even through test helpers) or names a changed
file. Only `make test` runs the tests that a change affects in other ways.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

import pytest

from tests.paths import ROOT

BASE: Final = "main"
#: Folders of tests to choose from: they start no service.
CHOSEN_FROM: Final = ("tests/unit/", "tests/properties/")
#: Checks all code, whatever it imports.
ALWAYS: Final = "tests/unit/test_house.py"


def changed_files() -> set[str]:
    """The files that differ from where the branch left `main`, and new ones that are not committed yet."""
    base = BASE if _git("rev-parse", "--verify", "--quiet", BASE, check=False) else "HEAD"
    changed = _git("diff", "--name-only", "--no-renames", "--merge-base", base)
    return {*changed, *_git("ls-files", "--others", "--exclude-standard")}


def _git(*arguments: str, check: bool = True) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=check)
    return done.stdout.splitlines()


def sources() -> dict[str, str]:
    """The text of every Python file that git knows or would add, by its path."""
    paths = _git("ls-files", "--cached", "--others", "--exclude-standard", "*.py")
    return {path: (ROOT / path).read_text() for path in paths if (ROOT / path).exists()}


def chosen_tests(changed: Iterable[str], files: Mapping[str, str]) -> list[str]:
    """The tests of `changed` in `files`, the sources of Python files by path."""
    changed = set(changed)
    if not changed:
        return []
    tests = [path for path in files if path.startswith(CHOSEN_FROM) and PurePosixPath(path).name.startswith("test_")]
    concerns = [_concern(path) for path in changed]
    return sorted(
        path
        for path in tests
        if path == ALWAYS or _reached(path, files) & changed or any(concern(path, files[path]) for concern in concerns)
    )


def _reached(test: str, files: Mapping[str, str]) -> set[str]:
    """The test's file, and the files that it imports, directly or through other files of tests."""
    reached: set[str] = set()
    left = [test]
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            if path.startswith("tests/"):
                left += [file for file in _imported(files[path]) if file in files]
    return reached


@functools.cache
def _imported(source: str) -> set[str]:
    """Possible files of a source's imports: an imported name may be a module too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return {f"{name.replace('.', '/')}{end}" for name in names for end in (".py", "/__init__.py")}


def _concern(changed: str) -> Callable[[str, str], bool]:
    """A predicate on a test's path and source: whether the changed file concerns the test, even without an import."""
    path = PurePosixPath(changed)
    if path.name == "conftest.py":
        return lambda test, _: test.startswith(f"{path.parent}/")
    if path.suffix == ".py":
        mirror = PurePosixPath("tests/unit", path.parent, f"test_{path.stem}")
        return lambda test, _: test.startswith(str(mirror))
    return lambda _, source: path.name in source


def main() -> None:
    chosen = chosen_tests(changed_files(), sources())
    if not chosen:
        print("no unit or property tests are affected")
        return
    sys.exit(pytest.main(["-n", "auto", "--dist", "loadfile", *chosen]))


if __name__ == "__main__":
    main()
