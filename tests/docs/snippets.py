"""Fenced blocks of a page, and how the tests use each of them.

The tests run a block of `sh` unchanged. A comment just before the block changes that, and other languages need one:

    <!-- snippet: background NAME -->    run in a separate terminal, until the end of the page
    <!-- snippet: output -->             the output of the block before it; `…` matches anything
    <!-- snippet: output of NAME -->     output that the terminal NAME must show within some time
    <!-- snippet: file PATH -->          written to PATH, for the blocks after it
    <!-- snippet: tested by PATH -->     run by the test in PATH
    <!-- snippet: skip, REASON -->       cannot be run here

Blocks of text need no comment. `<!-- snippets: given WHAT -->` at the top of a page names what its reader already has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Languages of blocks that are run without a comment, and of blocks that are ignored without one.
SHELL: Final = frozenset({"sh"})
PROSE: Final = frozenset({"", "text"})
VERBS: Final = ("background", "output of", "output", "file", "tested by", "skip,")

_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_MARK: Final = re.compile(r"<!-- snippet: ((?:(?!-->).)+?) -->\s*\Z", re.DOTALL)
_GIVEN: Final = re.compile(r"\A<!-- snippets: given ((?:(?!-->).)+?) -->")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block. `verb` is one of `VERBS` or `run`; `rest` is the text after it."""

    page: Path
    line: int
    verb: str
    rest: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def given(page: Path) -> str | None:
    """Returns what the page's reader already has, as the page names it."""
    match = _GIVEN.match(page.read_text())
    return match[1] if match else None


def snippets(page: Path) -> Iterator[Snippet]:
    """Yields the page's blocks in order, without ignored text.

    Raises:
        ValueError: a block needs a comment, or its comment is unknown.
    """
    source = page.read_text()
    for fence in _FENCE.finditer(source):
        line = source.count("\n", 0, fence.start()) + 1
        where = f"{page.name}:{line}"
        mark = _MARK.search(source, 0, fence.start())
        text = re.sub(f"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        if mark is not None:
            verb, rest = _parsed(where, mark[1])
            yield Snippet(page, line, verb, rest, text)
        elif fence["language"] in SHELL:
            yield Snippet(page, line, "run", "", text)
        elif fence["language"] not in PROSE:
            raise ValueError(f"{where}: a block of {fence['language']} must say how it is tested; see {__name__}")


def _parsed(where: str, mark: str) -> tuple[str, str]:
    for verb in VERBS:
        if mark.startswith(verb):
            rest = mark.removeprefix(verb).strip()
            if bool(rest) == (verb != "output"):
                return verb, rest
    raise ValueError(f"{where}: {mark!r} is none of the marks that {__name__} lists")
