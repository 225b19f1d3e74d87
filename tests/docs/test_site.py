"""Documentation site: it is complete and self-contained."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_copies import INCLUDE
from tests.paths import ROOT

#: Resources that a browser loads by itself. Links may lead anywhere.
_LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\" >]+)|<link\b[^>]*\bhref=\"?([^\" >]+)")
#: A page in `nav` of mkdocs.yml.
_NAMED = re.compile(r"^ +- (\S+\.md)$", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A broken link fails the build."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    built = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "build/docs"


def test_every_page_is_in_the_navigation_and_was_built(site: Path) -> None:
    """No page of docs/ is left out of `nav` in mkdocs.yml."""
    named = set(_NAMED.findall((ROOT / "mkdocs.yml").read_text()))
    there = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}

    assert named == there
    assert all((site / page).with_suffix(".html").is_file() for page in there)


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    """Pages work offline, and make no requests to other hosts."""
    pages = list(site.glob("**/*.html"))

    loaded = {url for page in pages for found in _LOADED.findall(page.read_text()) for url in found if url}

    assert any("stylesheets" in url for url in loaded)
    assert [url for url in loaded if url.startswith(("http:", "https:", "//"))] == []


def test_examples_are_on_their_pages(site: Path) -> None:
    """The site contains the examples' code, and no page contains an include directive, mangled or not."""
    assert "WEBrick" in _words(site / "how-to/handlers.html")
    assert "hmac.compare_digest" in _words(site / "how-to/handlers.html")
    pages = list(site.glob("**/*.html"))
    assert [page for page in pages if INCLUDE.search(_words(page))] == []


def _words(page: Path) -> str:
    """Returns the visible text of a page, without tags: code is coloured word by word."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", text))
