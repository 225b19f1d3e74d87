"""Handlers to copy, one per language: the files in `examples/`, which the tests run."""

from __future__ import annotations

from importlib.resources import files
from typing import Final, NamedTuple


class Snippet(NamedTuple):
    """A handler in one file."""

    language: str
    file_name: str
    code: str


def _snippet(language: str, file_name: str) -> Snippet:
    return Snippet(language, file_name, (files("api.dashboard") / "snippets" / file_name).read_text())


SNIPPETS: Final = (
    _snippet("PHP", "handler.php"),
    _snippet("Python", "handler.py"),
    _snippet("Node", "handler.js"),
    _snippet("Go", "handler.go"),
    _snippet("Ruby", "handler.rb"),
)
