"""Form parser with the rules of PHP's `$_POST`: `tags[]=a` is a list, `fields[name]=John` a map."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_KEY: Final = re.compile(r"\[([^\[\]]*)\]")
MAX_DEPTH: Final = 64


def read_form(body: bytes) -> dict[str, Any]:
    """The fields of an `application/x-www-form-urlencoded` body; all values are text.

    Raises:
        ValueError: the body is not such a form, in UTF-8.
    """
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True, errors="strict"):
        match = _NAME.fullmatch(name)
        keys = [match[1], *_KEY.findall(match[2])] if match else [name]
        if len(keys) > MAX_DEPTH:
            raise ValueError("a field is nested too deeply")
        _put(fields, keys, value)
    return {name: _as_lists(value) for name, value in fields.items()}


def _put(into: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = into.setdefault(_numbered(into, key), {})
        if not isinstance(inner, dict):  # a=1&a[b]=2: the last one wins, as in PHP
            inner = into[key] = {}
        into = inner
    into[_numbered(into, keys[-1])] = value


def _numbered(into: dict[str, Any], key: str) -> str:
    """`[]` takes the next number."""
    return key or str(max((int(known) + 1 for known in into if known.isdecimal()), default=0))


def _as_lists(value: Any) -> Any:
    """Turns maps with the keys 0, 1, 2… into lists."""
    if not isinstance(value, dict):
        return value
    if list(value) == [str(n) for n in range(len(value))]:
        return [_as_lists(item) for item in value.values()]
    return {key: _as_lists(item) for key, item in value.items()}
