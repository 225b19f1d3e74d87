"""Copies of files in pages are up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.copies import PAGES, copied, renewed
from tests.paths import ROOT

#: Include directives of the site's builder, whole or as a code formatter would change them.
INCLUDE = re.compile(r"8\s?<")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_copies_are_current_and_nothing_is_included(page: Path) -> None:
    """A page's copies equal their files (`python -m tests.docs.copies` updates them), and no line includes a file."""
    text = page.read_text()

    assert renewed(text) == text
    assert INCLUDE.findall(text) == []


def test_every_handler_is_on_the_page_about_handlers() -> None:
    """The page contains every example as a whole."""
    handlers = {f"examples/{path.name}" for path in ROOT.glob("examples/handler.*")}

    assert set(copied((ROOT / "docs/how-to/handlers.md").read_text())) == handlers


def test_an_outdated_copy_is_replaced() -> None:
    """An update replaces the contents of the block, and nothing else in the page."""
    page = "# A\n\n<!-- copy of LICENSE -->\n<!-- snippet: skip, no -->\n```text\n--8 < --\n```\n\n```text\nb\n```\n"

    assert renewed(page) == page.replace("--8 < --\n", (ROOT / "LICENSE").read_text())
