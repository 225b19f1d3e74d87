"""Limits of custom fields, whose names the account chooses, so that every loop can receive them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Final

from domain.payload import form_bytes
from domain.validation import MAX_NAME_CHARS, address_problem

MAX_JSON_BYTES: Final = 64 * 1024
#: A form repeats names (`domain.payload`), so the size of the JSON does not limit that of the form.
MAX_FORM_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 16
#: PHP ends a name at `]` and at NUL, and takes a single white-space character for no name (main/php_variables.c).
_UNFIT_FOR_PHP: Final = re.compile(r"[\[\]\0]|\A[ \t-\r]\Z")
_TOO_DEEP: Final = f"must not be nested deeper than {MAX_DEPTH} levels"


def json_problem(text: str, name: str | None = None) -> str | None:
    """Checks `text` as the JSON of a POST's field `name`, or of all its fields. Returns the error or None."""
    try:
        if len(text.encode()) > MAX_JSON_BYTES:
            return f"must be at most {MAX_JSON_BYTES} bytes of JSON"
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "must not hold half of a surrogate pair"
    except ValueError as exc:
        return f"must be JSON: {exc}"
    except RecursionError:
        return _TOO_DEEP
    if not isinstance(value, dict):
        return "must be an object"
    if any(map(address_problem, value)):
        return "must not hold names with an e-mail address, because names stay when the person is erased"
    return _shape_problem(value) or form_problem(value if name is None else {name: value})


def form_problem(fields: Mapping[str, object]) -> str | None:
    """Returns an error if a POST's fields are too long as a form, or None."""
    length = form_bytes(fields)
    if length <= MAX_FORM_BYTES:
        return None
    return (
        f"must be at most {MAX_FORM_BYTES} bytes as a form, and would be {length}: a form repeats the names for each "
        "value, so shorten the names and the lists"
    )


def _shape_problem(value: object) -> str | None:
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            return _TOO_DEEP
        for key in (key for v in level if isinstance(v, dict) for key in v):
            if problem := name_problem(key):
                return problem
        level = [item for v in level for item in (v.values() if isinstance(v, dict) else v)]
    return None


def name_problem(name: str) -> str | None:
    """Returns an error if no form can carry a map with this name, or None."""
    if not name:
        return "must not hold an empty name: a form cannot carry it"
    if len(name) > MAX_NAME_CHARS:
        return f"must not hold names longer than {MAX_NAME_CHARS} characters: {name[:20]!r}… has {len(name)}"
    if _UNFIT_FOR_PHP.search(name):
        return f"must not hold the name {name!r}: names with [, ] or NUL, or of one space, are not kept apart in a form"
    return None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    # Python reads 1e999 as infinity; other JSON parsers reject the whole text.
    if not isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is out of range")
    return number
