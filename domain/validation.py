"""Checks of callers' input that collect every problem for one answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote, unquote_plus

from domain.errors import InvalidInput

#: Control characters, which are harmful in databases, headers and logs, and lone surrogates, which UTF-8 cannot encode.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_ADDRESS: Final = re.compile(r"[^\s@]@[^\s@]")

MAX_NAME_CHARS: Final = 200
MAX_TAG_CHARS: Final = 100
#: Of an e-mail address that is looked for, with white space around it; one that exists has at most 320.
MAX_ADDRESS_CHARS: Final = 400


def text_problem(
    value: object, max_chars: int = MAX_NAME_CHARS, *, min_chars: int = 1, lines: bool = False
) -> str | None:
    """Checks that `value` is a text of that length. `lines` permits tabs and line breaks. Returns the error or None."""
    if not isinstance(value, str):
        return "must be a string"
    if len(value) < min_chars:
        return "must not be empty"
    if len(value) > max_chars:
        return f"must be at most {max_chars} characters long"
    unfit = (_UNFIT_IN_LINES if lines else _UNFIT).search(value)
    return f"must not hold the character U+{ord(unfit[0]):04X}" if unfit else None


def dots_problem(value: str) -> str | None:
    """Checks an id for the path of a URL, where clients resolve `.` and `..`. Returns the error or None."""
    return f"must not be {value}, which no URL can hold" if value in {".", ".."} else None


def address_problem(value: str) -> str | None:
    """Checks a name that stays when a person is erased, so it must reveal no address. Returns the error or None."""
    spellings = (value, unquote(value), unquote_plus(value))
    if any(map(_ADDRESS.search, spellings)):
        return "must not contain an e-mail address, because it stays when the person is erased"
    return None


def text_list_problems(pointer: str, values: object, max_items: int, max_chars: int) -> Iterator[tuple[str, str]]:
    """The problems of a list of at most `max_items` texts, each with its JSON pointer."""
    if not isinstance(values, list | tuple):
        yield pointer, "must be a list of strings"
    elif len(values) > max_items:
        yield pointer, f"must hold at most {max_items} items"
    else:
        for n, value in enumerate(values):
            if problem := text_problem(value, max_chars):
                yield f"{pointer}/{n}", problem


class Problems:
    """The problems of one request, each with the JSON pointer of its field."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, pointer: str, problem: str | None) -> None:
        """Adds a problem, unless it is None."""
        if problem is not None:
            self._found.append((pointer, problem))

    def add_texts(self, pointer: str, values: object, max_items: int, max_chars: int = MAX_TAG_CHARS) -> None:
        """Adds the problems of a list of at most `max_items` texts, item by item."""
        self._found.extend(text_list_problems(pointer, values, max_items, max_chars))

    def raise_if_any(self) -> None:
        """Raises one `InvalidInput` with all problems; its detail is the first one."""
        if self._found:
            pointer, problem = self._found[0]
            raise InvalidInput(f"{pointer.removeprefix('/') or 'the input'} {problem}", self._found)


def check_all(*checks: Callable[[], object]) -> None:
    """Runs every check.

    Raises:
        InvalidInput: with the problems of all checks.
    """
    problems = Problems()
    for check in checks:
        try:
            check()
        except InvalidInput as exc:
            for pointer, problem in exc.problems:
                problems.add(pointer, problem)
    problems.raise_if_any()
