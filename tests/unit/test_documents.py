"""References in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/**/*.md"))
ARCHITECTURE = ROOT / "docs/explanation/architecture.md"
CODE = [path for folder in ("domain", "actors", "api", "tests") for path in ROOT.glob(f"{folder}/**/*.py")]
_LINK = re.compile(r"(?:\]\(|src=\")([^)\s\"]+)[)\"]")
_FILE = re.compile(r"`((?:actors|api|domain|tests|docs|examples)/[\w/.-]+\.\w+)(?:::(\w+))?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_file_names_lead_somewhere(page: Path) -> None:
    """Relative links, and files and tests named in backticks, exist."""
    text = page.read_text()
    for link in _LINK.findall(text):
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.partition("#")[0]).exists(), link
    for name, test in _FILE.findall(text):
        assert (ROOT / name).is_file(), name
        assert not test or f"def {test}(" in (ROOT / name).read_text(), test


def test_numbered_promises_are_defined() -> None:
    """Each promise that the code or a decision cites by number is in the architecture's table."""
    defined = set(re.findall(r"^\| (I\d) \|", ARCHITECTURE.read_text(), re.MULTILINE))
    named = {name for path in [*CODE, *PAGES] for name in re.findall(r"\bI[1-9]\b", path.read_text())}

    assert defined == {f"I{number}" for number in range(1, 8)}
    assert named <= defined
