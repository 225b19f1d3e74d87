"""Fields of machine-readable parts: groups of `Name: value` lines. Source: RFC 3464, section 2.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_FIELD: Final = re.compile(r"[ \t]{0,8}([A-Za-z][A-Za-z0-9-]{1,60})[ \t]?:[ \t]*(.*)")
_MAX_VALUE_CHARS: Final = 8_000

Fields = dict[str, str]


def groups(text: str) -> Iterator[Fields]:
    """Groups of fields between empty lines, with names in lower case. The first value of a repeated field counts."""
    group: Fields = {}
    last = ""
    for line in text.split("\n"):
        if not line.strip():
            if group:
                yield group
            group, last = {}, ""
        elif line[0] in " \t" and last:
            if len(group[last]) < _MAX_VALUE_CHARS:
                group[last] += " " + line.strip()
        elif found := _FIELD.match(line):
            name = found[1].lower()
            if name in group:
                # A field that is repeated begins the next group, if someone forgot the empty line.
                if name in ("final-recipient", "original-recipient") and "action" in group:
                    yield group
                    group = {}
                else:
                    last = ""
                    continue
            group[name] = found[2].strip()[:_MAX_VALUE_CHARS]
            last = name
    if group:
        yield group
