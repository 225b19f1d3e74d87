"""The files that stand in pages are the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.copies import PAGES, copied, renewed
from tests.paths import ROOT

#: What would have a file included when the site is built, whole or as a formatter of code leaves it.
INCLUDE = re.compile(r"8\s?<")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_copies_are_current_and_nothing_is_included(page: Path) -> None:
    """A page's copies are what their files are; `python -m tests.docs.copies` writes them. No line includes a file."""
    text = page.read_text()

    assert renewed(text) == text
    assert INCLUDE.findall(text) == []


def test_every_handler_stands_on_the_page_about_handlers() -> None:
    """Each of the examples is there, whole."""
    handlers = {f"examples/{path.name}" for path in ROOT.glob("examples/handler.*")}

    assert set(copied((ROOT / "docs/how-to/handlers.md").read_text())) == handlers


def test_a_copy_that_is_not_current_is_written_anew() -> None:
    """Whatever stands in the block, and nothing else of the page, is replaced."""
    page = "# A\n\n<!-- copy of LICENSE -->\n<!-- snippet: skip, no -->\n```text\n--8 < --\n```\n\n```text\nb\n```\n"

    assert renewed(page) == page.replace("--8 < --\n", (ROOT / "LICENSE").read_text())
