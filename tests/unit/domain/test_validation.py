"""`domain.validation`."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.validation import Problems, text_problem


@pytest.mark.parametrize("text", ["a", "Zoë", "two words", "👩\u200d🚀", "\u00a0x", "x" * 200])
def test_any_script_is_text(text: str) -> None:
    """Letters, spaces and symbols of any script pass, including joined emoji."""
    assert text_problem(text) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be a string"),
        (1, "must be a string"),
        ("", "must not be empty"),
        ("x" * 201, "at most 200"),
        ("a\nb", "U+000A"),
        ("a\x00", "U+0000"),
        ("\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("\ud800", "U+D800"),
    ],
)
def test_control_characters_are_refused(value: object, problem: str) -> None:
    """Control characters and half surrogates are refused and named."""
    assert problem in (text_problem(value) or "")


def test_line_breaks_are_text_with_lines() -> None:
    """With `lines`, tabs and line breaks pass; other control characters do not."""
    assert text_problem("a\r\n\tb", lines=True) is None
    assert "U+0000" in (text_problem("a\x00b", lines=True) or "")


def test_every_problem_is_raised_at_once() -> None:
    """One error holds all problems with their JSON pointers, and its text is the first one."""
    problems = Problems()
    problems.add("/name", None)
    problems.add_texts("/tags", ["ok", "", 3], max_items=5)
    problems.add_texts("/list", "text", max_items=5)
    problems.add_texts("/many", ["a"] * 3, max_items=2)
    problems.add("/url", "has no host")
    with pytest.raises(InvalidInput, match="tags/1 must not be empty") as caught:
        problems.raise_if_any()
    assert caught.value.problems == [
        ("/tags/1", "must not be empty"),
        ("/tags/2", "must be a string"),
        ("/list", "must be a list of strings"),
        ("/many", "must hold at most 2 items"),
        ("/url", "has no host"),
    ]


def test_without_problems_nothing_is_raised() -> None:
    """A valid request raises nothing."""
    Problems().raise_if_any()
