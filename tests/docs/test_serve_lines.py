"""`serve` accepts the command lines that pages start it with."""

from __future__ import annotations

import shlex

import pytest

from actors.settings import Settings
from api.cli.commands.serve import parser
from tests.docs.snippets import Snippet, snippets
from tests.docs.test_snippets import PAGES

LINES = [s for page in PAGES for s in snippets(page) if s.text.lstrip().startswith("feedback-loops serve")]


@pytest.mark.parametrize("snippet", LINES, ids=str)
def test_the_options_and_values_are_valid(snippet: Snippet) -> None:
    """`serve` parses the line, and every value is valid."""
    words = shlex.split(snippet.text.replace("\\\n", " "))

    Settings.from_env({}, **vars(parser().parse_args(words[2:])))
