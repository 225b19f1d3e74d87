"""A form parser with PHP's rules (main/php_variables.c), on top of the standard library's parser."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl


def read_form(body: bytes) -> dict[str, Any]:
    """`$_POST` for this body; PHP's arrays are dicts with text keys."""
    post: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body)):
        _put(post, _path(name), value)
    return post


def _path(name: str) -> list[str | None]:
    """`a[b][]` as `["a", "b", None]`; None stands for the next free number."""
    head, bracket, rest = name.partition("[")
    path: list[str | None] = [head.lstrip(" ").replace(".", "_").replace(" ", "_")]
    while bracket:
        key, _, rest = rest.partition("]")
        path.append(key if key.strip(" \t\r\n\v\f") or key[1:] else None)
        bracket, rest = rest[:1], rest[1:]
        if bracket != "[":
            break
    return path


def _put(array: dict[str, Any], path: list[str | None], value: str) -> None:
    for step, key in enumerate(path):
        name = str(len(array)) if key is None else key
        if step == len(path) - 1:
            array[name] = value
        else:
            array = array.setdefault(name, {})
