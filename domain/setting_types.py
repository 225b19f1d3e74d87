"""Value types of a loop's settings.

Each type checks values: `problems` yields everything that is wrong with a value, with a JSON pointer that starts with
the setting's. The API, the command line and the dashboard's form know how to read and show every type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from domain.header_rules import headers_problems
from domain.validation import text_list_problems, text_problem

#: A JSON pointer and an error.
Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]
    #: The names that callers may choose in this version; the others exist in the contract only.
    offered: tuple[str, ...]
    #: The error for a name that is not offered. Empty if all names are.
    not_offered: str = ""

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        if problem := _name_problem(value, self.names):
            yield pointer, problem


@dataclass(frozen=True, slots=True)
class ChoiceList:
    """At least one of a few names, each at most once."""

    names: tuple[str, ...]

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        if not isinstance(value, list | tuple) or not value:
            yield pointer, f"must be a list of at least one of {', '.join(self.names)}"
            return
        for n, item in enumerate(value):
            problem = _name_problem(item, self.names)
            if problem is None and item in value[:n]:
                problem = "is in the list twice"
            if problem:
                yield f"{pointer}/{n}", problem


@dataclass(frozen=True, slots=True)
class TextList:
    """At most `max_items` texts of at most `max_chars` characters."""

    max_items: int
    max_chars: int

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        return text_list_problems(pointer, value, self.max_items, self.max_chars)


@dataclass(frozen=True, slots=True)
class Rate:
    """A number per second above 0, or None for no limit."""

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        if value is None:
            return
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and isfinite(value) and value > 0):  # type: ignore[arg-type, operator]
            yield pointer, "must be a number of POSTs a second above 0, or null for no limit"


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number in a range."""

    lowest: int
    highest: int

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (is_whole and self.lowest <= value <= self.highest):  # type: ignore[operator]
            yield pointer, f"must be a whole number from {self.lowest} to {self.highest}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield pointer, "must be true or false"


@dataclass(frozen=True, slots=True)
class Text:
    """A text of any number of lines, possibly empty."""

    max_chars: int

    def problem(self, value: object) -> str | None:
        """The error in the text, or None."""
        return text_problem(value, self.max_chars, min_chars=0, lines=True)

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        if problem := self.problem(value):
            yield pointer, problem


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers by name. Their values are secrets."""

    max_items: int
    max_chars: int

    def problems(self, pointer: str, value: object) -> Iterator[Problem]:
        return headers_problems(pointer, value, self.max_items, self.max_chars)


SettingType: TypeAlias = Choice | ChoiceList | TextList | Rate | Count | Flag | Text | Headers


def _name_problem(value: object, names: tuple[str, ...]) -> str | None:
    is_known = isinstance(value, str) and value in names
    return None if is_known else f"must be one of {', '.join(names)}"
