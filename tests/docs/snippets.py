"""The fenced blocks of a page, and what becomes of each in the tests.

A block of `sh` is run as it stands. Any other says what is done with it, in a comment just before it:

    <!-- snippet: background NAME -->    run in a terminal of its own, until the page ends
    <!-- snippet: output -->             what the block before it shows; `…` stands for anything
    <!-- snippet: output of NAME -->     what that terminal shows, sooner or later
    <!-- snippet: file PATH -->          written there, for the blocks after it
    <!-- snippet: tested by PATH -->     a test of its own runs it
    <!-- snippet: skip, REASON -->       cannot be run here

Blocks of text need no comment. `<!-- snippets: given WHAT -->` at the top of a page names what its reader has already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Languages of blocks that are run without being told to, and of blocks that nothing can be done with.
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
    """One block. `verb` is one of `VERBS` or `run`; `rest` is what stands after it."""

    page: Path
    line: int
    verb: str
    rest: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def given(page: Path) -> str | None:
    """What the page's reader has already, as the page names it."""
    match = _GIVEN.match(page.read_text())
    return match[1] if match else None


def snippets(page: Path) -> Iterator[Snippet]:
    """The page's blocks in order, but those of text that need nothing.

    Raises:
        ValueError: a block does not say what is to be done with it, or says something that is not known.
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
