"""Encoding of an event's fields as the body of a POST: a form or JSON. Source: the contract, section 5."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

from domain.values import PayloadFormat

#: The `Content-Type` of each format's body.
CONTENT_TYPES: Final[dict[str, str]] = {
    PayloadFormat.FORM: "application/x-www-form-urlencoded",
    PayloadFormat.JSON: "application/json",
}


#: Escaped texts up to this length are cached: 4096 of them need about 1 MiB at most.
CACHED_CHARS: Final = 256


def encode_form(fields: Mapping[str, object]) -> bytes:
    """The fields as PHP's `$_POST` reads them back: `tags[]=a&fields[name]=John&fields[children][0][name]=Ann`.

    Text is UTF-8, true and false are `1` and `0`, null is empty, numbers keep their decimals. Empty lists and maps are
    left out. Lists of lists or maps are numbered. Keys are escaped, but PHP unescapes them before it looks for brackets
    and cuts keys at `]`, so `domain.custom_fields` refuses such names. Half a surrogate pair becomes `?`.

    Raises:
        TypeError: a value is not a JSON type.
    """
    parts: list[str] = []
    for name, value in fields.items():
        _add(parts, _quoted(name), value)
    return "&".join(parts).encode("ascii")


def form_bytes(fields: Mapping[str, object]) -> int:
    """The length of `encode_form(fields)`, computed without building it.

    A form repeats the full path of names for each value, so its length can be the square of that of the JSON.

    Raises:
        TypeError: a value is not a JSON type.
    """
    total = 0
    stack: list[tuple[int, object]] = [(len(_quoted(name)), value) for name, value in fields.items()]
    while stack:
        name_bytes, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((name_bytes + 2 + len(_quoted(str(key))), item) for key, item in value.items())
        elif isinstance(value, (list, tuple)):
            stack.extend((name_bytes + 2 + len(i), item) for i, item in zip(_indexes(value), value, strict=True))
        else:
            text = value if isinstance(value, str) else _scalar("a field", value)
            total += name_bytes + len("=&") + len(_quoted(text))
    return max(total - 1, 0)


def encode_json(fields: Mapping[str, object]) -> bytes:
    """The fields as one JSON object in UTF-8, without white space. Half a surrogate pair becomes `?`."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _add(parts: list[str], name: str, value: object) -> None:
    # Nearly all fields are texts, whole numbers, and lists and maps of texts: these branches take a third of the time.
    if type(value) is str:
        parts.append(f"{name}={_quoted(value)}")
    elif type(value) is int:
        parts.append(f"{name}={value}")
    elif type(value) is list and all(type(item) is str for item in value):
        parts += [f"{name}[]={_quoted(item)}" for item in value]
    elif type(value) is dict and all(type(item) is str for item in value.values()):
        parts += [f"{name}[{_quoted(str(key))}]={_quoted(item)}" for key, item in value.items()]
    else:
        parts += [f"{full_name}={text}" for full_name, text in _pairs(name, value)]


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    # A stack instead of recursion: deeply nested customer data must not crash the process.
    stack = [(name, value)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, str):
            yield name, _quoted(value)
        elif isinstance(value, dict):
            stack.extend((f"{name}[{_quoted(str(key))}]", item) for key, item in reversed(list(value.items())))
        elif isinstance(value, (list, tuple)):
            indexes = _indexes(value)[::-1]
            stack.extend((f"{name}[{index}]", item) for index, item in zip(indexes, value[::-1], strict=True))
        else:
            yield name, _quoted(_scalar(name, value))


def _indexes(items: Sequence[object]) -> list[str]:
    """The text in the brackets of each item of a list."""
    is_nested = any(isinstance(item, (dict, list, tuple)) for item in items)
    return [str(n) for n in range(len(items))] if is_nested else [""] * len(items)


def _scalar(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case int() | float():
            return repr(value)
    raise TypeError(f"{name} is a {type(value).__name__}, which a form cannot hold")


def _quoted(text: str) -> str:
    # Names and many values need no escaping, and others repeat: user agents, tags, dates.
    if text.isascii() and text.isalnum():
        return text
    return _quoted_again(text) if len(text) <= CACHED_CHARS else quote_plus(text, errors="replace")


@lru_cache(maxsize=4096)
def _quoted_again(text: str) -> str:
    return quote_plus(text, errors="replace")
