"""Rules for the HTTP headers that an owner adds to the POSTs of a loop. Source: the contract, section 3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

#: RFC 9110 5.6.2.
NAME_PATTERN: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
#: Visible ASCII characters, with spaces between them (as in `Basic …`).
VALUE_PATTERN: Final = r"^[!-~]+( +[!-~]+)*$"
MAX_NAME_CHARS: Final = 200

_NAME: Final = re.compile(NAME_PATTERN.removesuffix("$"))
_VALUE: Final = re.compile(VALUE_PATTERN.removesuffix("$"))
#: Fields of one connection (RFC 9110 7.6.1, and older ones). A proxy on the way would remove them, or worse.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}
)
_OURS: Final = frozenset({"host", "digest", "date", "user-agent", "x-nonce", "x-account", "x-feedback-loop"})
_OUR_PREFIXES: Final = ("content-", "signature", "webhook-")


def headers_problems(pointer: str, headers: object, max_headers: int, max_chars: int) -> Iterator[tuple[str, str]]:
    """Everything that is wrong with a map of header names to values, each with its JSON pointer. Shows no value."""
    if not isinstance(headers, dict):
        yield pointer, "must be an object of header names and their values"
        return
    if len(headers) > max_headers:
        yield pointer, f"must hold at most {max_headers} headers"
    seen: set[str] = set()
    for name, value in headers.items():
        entry = f"{pointer}/{escaped(str(name))}"
        if problem := _name_problem(name):
            yield entry, problem
        elif name.lower() in seen:
            yield entry, "is in the object twice: upper and lower case mean the same"
        elif problem := _value_problem(value, max_chars):
            yield entry, problem
        seen.add(str(name).lower())


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _name_problem(name: object) -> str | None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        return f"is not the name of a header: letters, digits and signs such as - and _, at most {MAX_NAME_CHARS}"
    lower = name.lower()
    if lower in _HOP_BY_HOP or lower.startswith("proxy-"):
        return "cannot be sent, because it only concerns one connection"
    if lower in _OURS or lower.startswith(_OUR_PREFIXES):
        return "cannot be set, because the service sends it itself"
    return None


def _value_problem(value: object, max_chars: int) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not 1 <= len(value) <= max_chars:
        return f"must be 1 to {max_chars:,} characters long"
    if not _VALUE.fullmatch(value):
        return "must only hold visible ASCII characters, and spaces between them"
    return None
