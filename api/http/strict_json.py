"""Strict JSON reader for request bodies: rejects what is ambiguous instead of guessing.

It rejects encodings other than UTF-8, repeated names (RFC 8259 section 4 leaves their meaning open), NaN and Infinity,
numbers that do not fit in 64 bits, lone surrogates, and nesting beyond `MAX_DEPTH`.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import Counter
from math import isfinite
from typing import Any, Final, NoReturn

from api.http.problem_types import MALFORMED
from api.http.problems import ProblemError

MAX_DEPTH: Final = 32
_INT_BOUND: Final = 2**63
#: What Python's parser reports, in other words, by the start of its message.
_SYNTAX: Final = {
    "Expecting value": "a value is missing",
    "Expecting property name": "a name in double quotes is missing",
    "Expecting ':'": "a colon is missing",
    "Expecting ','": "a comma or a closing bracket is missing",
    "Extra data": "there is more after the end of the value",
    "Unterminated string": "there is no closing quote for the text that starts",
    "Invalid control": "there is a line break or a control character in a text",
    "Invalid \\": "there is an unknown escape (\\) in a text",
    "Illegal trailing comma": "there is a comma too many",
}


class NotJson(ProblemError):
    """A text that is not acceptable JSON. `in_words` is the reason for people who write no programs."""

    def __init__(self, detail: str, in_words: str) -> None:
        super().__init__(MALFORMED, detail)
        self.in_words = in_words


def read_json(body: bytes) -> Any:
    """The value in `body`, which may start with a byte order mark.

    Raises:
        NotJson: 400, saying where and why it cannot be read.
    """
    try:
        text = body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as exc:
        raise _refused(f"byte {exc.start} is not UTF-8") from None
    try:
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        where = f"at line {exc.lineno}, column {exc.colno}"
        found = next((found for start, found in _SYNTAX.items() if exc.msg.startswith(start)), "it cannot be read")
        raise _refused(f"{exc.msg} {where}", f"{found} {where}") from None
    except UnicodeEncodeError:
        raise _refused("a \\u escape is half of a surrogate pair") from None
    except ValueError as exc:
        raise _refused(str(exc)) from None
    except RecursionError:
        raise _too_deep() from None
    # Most bodies have few brackets in all, so they need not be measured.
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_too_deep(value):
        raise _too_deep()
    return value


def _refused(what: str, in_words: str = "") -> NotJson:
    return NotJson(f"the body is not acceptable JSON: {what}", in_words or what)


def _too_deep() -> NotJson:
    return _refused(f"it is nested deeper than {MAX_DEPTH} levels")


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = [v for v in level if isinstance(v, dict | list)]
        if not containers:
            return False
        level = [item for v in containers for item in (v.values() if isinstance(v, dict) else v)]
    return any(isinstance(v, dict | list) for v in level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the name {repeated[:80]!a} is in one object twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; leave the field out or send null")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -_INT_BOUND <= (number := int(digits)) < _INT_BOUND:
        raise ValueError(f"the number {digits[:24]}… is beyond 64 bits; send it as a string")
    return number


def _float(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError(f"the number {text[:24]} is too large; send it as a string")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_int=_whole, parse_float=_float)
