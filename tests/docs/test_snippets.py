"""Every page can be followed: its commands work, and show the output that the page shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.docs.conftest import equip
from tests.docs.snippets import Snippet, given, snippets
from tests.docs.terminal import Reader
from tests.handler import Handler
from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
DONE = {"run", "background", "file", "output", "output of"}
#: Programs that a page needs in addition to the project's requirements, as the page says.
PROGRAMS = {"first-event.md": "php", "php-script.md": "php"}


def follow(reader: Reader, of_page: Iterable[Snippet]) -> None:
    """Follows the page's snippets, one after the other."""
    for snippet in of_page:
        if snippet.verb in DONE:
            reader.follow(snippet)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


#: Pages with commands.
FOLLOWED = [page for page in PAGES if "```sh\n" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_is_tested_or_has_a_reason(page: Path) -> None:
    """Every block has a known treatment, and every test that a block names exists."""
    for snippet in snippets(page):
        if snippet.verb == "tested by":
            assert (ROOT / snippet.rest).is_file(), snippet


#: Pages about code that receives events.
ABOUT_HANDLERS = ("handlers", "php-script", "standard-webhooks", "sendgrid-style-code", "generate-a-client")


@pytest.mark.parametrize("name", ABOUT_HANDLERS)
def test_a_page_about_handlers_says_how_long_to_remember_events(name: str) -> None:
    """It links to the section on dropping repeats, which has the number of hours."""
    assert "(../explanation/guarantees.md#dropping-repeats)" in (ROOT / f"docs/how-to/{name}.md").read_text()
    assert "longer than the retries last (28 hours)" in (ROOT / "docs/explanation/guarantees.md").read_text()


@pytest.mark.parametrize("page", [page for page in PAGES if given(page)], ids=_name)
def test_a_page_says_what_its_reader_needs(page: Path) -> None:
    """A page whose reader already has an account names the variables of its commands, and where they are set."""
    text = page.read_text()
    needed = ["`FEEDBACK_LOOPS_URL` and `FEEDBACK_LOOPS_API_KEY`", "(../tutorial/first-event.md#open-an-account)"]
    needed += ["in `LOOP`"] if given(page) != "an account" else []

    assert [words for words in needed if words not in text] == []


@pytest.mark.parametrize("page", FOLLOWED, ids=_name)
def test_a_page_can_be_followed(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each command works, and shows the output on the page."""
    if (program := PROGRAMS.get(page.name)) and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    reader = Reader(tmp_path)
    try:
        if what := given(page):
            handler: Handler = request.getfixturevalue("handler")
            equip(reader, what, request.getfixturevalue("service"), handler)
        follow(reader, snippets(page))
    finally:
        reader.close()


def _page(tmp_path: Path, text: str) -> list[Snippet]:
    page = tmp_path / "page.md"
    page.write_text(text)
    return list(snippets(page))


def test_a_block_without_a_known_treatment_is_refused(tmp_path: Path) -> None:
    """A block in a language that is not run needs a comment, and a known one."""
    with pytest.raises(ValueError, match=r"page\.md:3: a block of php must say"):
        _page(tmp_path, "# A\n\n```php\necho 1;\n```\n")
    with pytest.raises(ValueError, match="'skip,' is none of the marks"):
        _page(tmp_path, "<!-- snippet: skip, -->\n```sh\ntrue\n```\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```sh\nfalse\ntrue\n```\n", "page.md:1: failed, status 1: false"),
        ("```sh\necho 1\n```\n<!-- snippet: output -->\n```text\n2\n```\n", "page.md:5: the page says\n2\n"),
        ("```sh\necho 1 2 3\n```\n<!-- snippet: output -->\n```text\n1 …3 4\n```\n", "page.md:5: the page says"),
    ],
)
def test_an_incorrect_page_fails(text: str, problem: str, tmp_path: Path) -> None:
    """A failing command is an error, whether or not it is the last one, and so is different output."""
    reader = Reader(tmp_path / "reader")
    try:
        with pytest.raises(AssertionError, match=problem):
            follow(reader, _page(tmp_path, text))
    finally:
        reader.close()
