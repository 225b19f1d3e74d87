"""Comparison of the documented structure with the folders."""

from __future__ import annotations

import re

import pytest

from tests.paths import ROOT

ARCHITECTURE = (ROOT / "docs/explanation/architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PICTURE = (ROOT / "docs/assets/packages.svg").read_text()


def packages() -> set[str]:
    """The packages of `api` and `actors` one level down, and `domain`."""
    found = {path.parent for top in ("api", "actors") for path in (ROOT / top).glob("*/__init__.py")}
    return {str(path.relative_to(ROOT)) for path in found} | {"domain"}


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, heading
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_table_of_packages_lists_every_folder_and_no_other() -> None:
    """Each package of `api` and `actors` has one row with its contents."""
    rows = table(ARCHITECTURE, "Packages")

    assert sorted(row[0].strip("`") for row in rows) == sorted(packages())
    assert all(row[1] for row in rows)


def test_the_picture_shows_every_package() -> None:
    """Each package's name is in the picture of the layers."""
    names = set(re.findall(r"\w+", PICTURE))
    assert {package.rpartition("/")[2] for package in packages()} <= names


@pytest.mark.parametrize("row", table(CONTRIBUTING, "Where does a change go?"), ids=lambda row: row[0])
def test_every_place_for_a_change_exists(row: list[str]) -> None:
    """The files and folders of CONTRIBUTING's table exist."""
    paths = re.findall(r"`([\w/.]+)`", row[1])
    assert paths
    assert all((ROOT / path).exists() for path in paths)


@pytest.mark.parametrize("text", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_every_named_file_exists(text: str) -> None:
    """No page names a module that was moved or removed."""
    paths = set(re.findall(r"`((?:actors|api|domain|tests|docs|deploy)/[\w/.-]+)(?:::\w+)?`", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
