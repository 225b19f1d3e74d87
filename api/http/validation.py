"""Validation of callers' input against a schema: returns the model, or raises every error with its JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from domain.errors import InvalidInput
from domain.validation import text_problem

M = TypeVar("M", bound=BaseModel)

_MAX_PARAMETERS: Final = 50
_MAX_PROBLEMS: Final = 100

#: Texts by pydantic's error codes; `{…}` are filled in from pydantic's context.
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not known here; remove it or correct its name",
    "string_type": "must be a string",
    "string_unicode": "must be a string of valid Unicode",
    "string_too_short": "must be at least {min_length} character(s) long",
    "string_too_long": "must be at most {max_length} characters long",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must hold at least {min_length} item(s)",
    "too_long": "must hold at most {max_length} items",
}
#: Errors of the library, whose own texts are for programmers. Our own errors have texts for callers.
_BUILT_IN: Final = frozenset(get_args(ErrorType))


def validate(model: type[M], value: object) -> M:
    """The value as the model.

    Raises:
        InvalidInput: with every invalid field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise invalid_input([(_pointer(error["loc"]), _words(error)) for error in _errors(exc)]) from None


def validate_query(model: type[M], query: bytes) -> M:
    """The query string as the model.

    Raises:
        InvalidInput: with every parameter that is invalid, unknown or repeated.
    """
    values = _parameters(query)
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        known = ", ".join(field.alias or name for name, field in model.model_fields.items()) or "none"
        problems = []
        for error in _errors(exc):
            detail = _words(error)
            if error["type"] == "extra_forbidden":
                detail = f"query parameter {detail} (known here: {known})"
            problems.append((_pointer(error["loc"]), detail))
        raise invalid_input(problems) from None


def invalid_input(problems: list[tuple[str, str]]) -> InvalidInput:
    """One error for all problems; its detail shows the first."""
    pointer, what = problems[0]
    more = f" (and {len(problems) - 1} more, see errors)" if len(problems) > 1 else ""
    return InvalidInput(f"{pointer.removeprefix('/') or 'the body'} {what}{more}", problems)


def _parameters(query: bytes) -> dict[str, str]:
    try:
        text = query.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise invalid_input(
            [("", f"has a query string that is not UTF-8 or has over {_MAX_PARAMETERS} parts")]
        ) from None
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise invalid_input([(_pointer((name,)), "must be given once") for name in twice])
    checked = [(name, text_problem(value, len(value), min_chars=0)) for name, value in pairs]
    if unfit := [(_pointer((name,)), problem) for name, problem in checked if problem]:
        raise invalid_input(unfit)
    return values


def _errors(exc: ValidationError) -> list[ErrorDetails]:
    return exc.errors(include_url=False, include_input=False)[:_MAX_PROBLEMS]


def _pointer(location: tuple[int | str, ...]) -> str:
    """RFC 6901: `~` is written `~0`, and `/` is written `~1`."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _words(error: ErrorDetails) -> str:
    facts: dict[str, Any] = error.get("ctx", {})
    if template := _WORDS.get(error["type"]):
        return template.format(**facts)
    return "is not valid" if error["type"] in _BUILT_IN else error["msg"]
