"""What a feedback loop can be set to: which events it wants, and how it wants them delivered."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Final

from domain.validation import MAX_NAME_CHARS, Problems, text_problem
from domain.values import PayloadFormat, SignatureScheme, Trigger

MAX_FILTER_ITEMS: Final = 100
MAX_CONCURRENCY: Final = 1000
MAX_DESCRIPTION_CHARS: Final = 2000

#: Each setting's name and its JSON pointer in the API.
SETTINGS: Final[dict[str, str]] = {
    "triggers": "/triggers",
    "format": "/format",
    "tags": "/filters/tags",
    "databases": "/filters/databases",
    "collections": "/filters/collections",
    "rate_limit": "/rate_limit",
    "max_concurrency": "/max_concurrency",
    "ordered": "/ordered",
    "signature": "/signature",
    "description": "/description",
}


def check_settings(settings: Mapping[str, object]) -> None:
    """Returns when every setting given has a value it may have; what is absent is not missed.

    Raises:
        InvalidInput: with every problem, an unknown name among them.
    """
    problems = Problems()
    for name, value in settings.items():
        if name in SETTINGS:
            _check(problems, name, SETTINGS[name], value)
        else:
            problems.add(f"/{name}", "is not a setting that can be changed")
    problems.raise_if_any()


def _check(problems: Problems, name: str, pointer: str, value: object) -> None:
    match name:
        case "triggers":
            _check_triggers(problems, pointer, value)
        case "tags" | "databases" | "collections":
            problems.add_texts(pointer, value, MAX_FILTER_ITEMS, MAX_NAME_CHARS)
        case "format":
            problems.add(pointer, _choice_problem(value, PayloadFormat))
        case "signature":
            problems.add(pointer, _choice_problem(value, SignatureScheme))
        case "rate_limit":
            problems.add(pointer, _rate_limit_problem(value))
        case "max_concurrency":
            problems.add(pointer, _concurrency_problem(value))
        case "ordered":
            problems.add(pointer, None if isinstance(value, bool) else "must be true or false")
        case _:
            problems.add(pointer, text_problem(value, MAX_DESCRIPTION_CHARS, min_chars=0, lines=True))


def _check_triggers(problems: Problems, pointer: str, value: object) -> None:
    if not isinstance(value, list) or not value:
        problems.add(pointer, f"must be a list of at least one of {_names(Trigger)}")
        return
    for n, item in enumerate(value):
        problems.add(f"{pointer}/{n}", _choice_problem(item, Trigger) or _repeat_problem(value, n))


def _repeat_problem(values: list[object], n: int) -> str | None:
    return "is in the list twice" if values[n] in values[:n] else None


def _choice_problem(value: object, choices: type[StrEnum]) -> str | None:
    known = isinstance(value, str) and value in {c.value for c in choices}
    return None if known else f"must be one of {_names(choices)}"


def _names(choices: type[StrEnum]) -> str:
    return ", ".join(choices)


def _rate_limit_problem(value: object) -> str | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number and isfinite(value) and value > 0  # type: ignore[arg-type, operator]
    return None if fits else "must be a number of POSTs a second above 0, or null for no limit"


def _concurrency_problem(value: object) -> str | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    fits = is_whole and 1 <= value <= MAX_CONCURRENCY  # type: ignore[operator]
    return None if fits else f"must be a whole number from 1 to {MAX_CONCURRENCY}"
