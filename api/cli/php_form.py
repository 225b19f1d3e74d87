"""Form parser with the rules of PHP's `$_POST`: `tags[]=a` is a list, `fields[name]=John` a map."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_KEY: Final = re.compile(r"\[([^\[\]]*)\]")
#: A key that PHP turns into a number.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
MAX_DEPTH: Final = 64
#: A hundred times what PHP accepts (`max_input_vars`).
MAX_FIELDS: Final = 100_000


class _Array(dict[str, Any]):
    """A PHP array: `[]` is the number after the highest so far."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0

    def key(self, text: str) -> str:
        """The key that the text between two brackets stands for."""
        key = text or str(self._next)
        if _NUMBER.fullmatch(key):
            self._next = max(self._next, int(key) + 1)
        return key


def read_form(body: bytes) -> dict[str, Any]:
    """The fields of an `application/x-www-form-urlencoded` body; all values are text. Takes time linear in its length.

    Raises:
        ValueError: the body is not such a form, in UTF-8, or has more than `MAX_FIELDS` fields.
    """
    fields = _Array()
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        keys = [match[1], *_KEY.findall(match[2])] if match else [name]
        if len(keys) > MAX_DEPTH:
            raise ValueError("a field is nested too deeply")
        _put(fields, keys, value)
    return {name: _as_lists(value) for name, value in fields.items()}


def _put(into: _Array, keys: list[str], value: str) -> None:
    for text in keys[:-1]:
        key = into.key(text)
        inner = into.get(key)
        if not isinstance(inner, _Array):  # a=1&a[b]=2: the last one wins, as in PHP
            inner = into[key] = _Array()
        into = inner
    into[into.key(keys[-1])] = value


def _as_lists(value: Any) -> Any:
    """Turns maps with the keys 0, 1, 2… into lists."""
    if not isinstance(value, _Array):
        return value
    if all(key == str(n) for n, key in enumerate(value)):
        return [_as_lists(item) for item in value.values()]
    return {key: _as_lists(item) for key, item in value.items()}
