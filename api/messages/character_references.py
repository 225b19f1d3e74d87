"""Decoder of character references in attribute values (HTML, sections 13.2.5.72 to 13.2.5.80)."""

from __future__ import annotations

import re
from html.entities import html5
from typing import Final

_REFERENCE: Final = re.compile(r"&(?:#([0-9]++|[xX][0-9a-fA-F]++);?|([a-zA-Z][a-zA-Z0-9]*+;?))")
#: No code point has more digits; so long numbers are never converted, which would take quadratic time.
_MAX_DIGITS: Final = 7
_REPLACEMENT: Final = "\ufffd"
_MAX_CODE_POINT: Final = 0x10FFFF
#: Section 13.2.5.80: these numbers mean characters of Windows-1252.
_WINDOWS_1252: Final = {
    number: character for number in range(0x80, 0xA0) if (character := bytes([number]).decode("cp1252", "ignore"))
}


def attribute_text(value: str) -> str:
    """The text of an attribute whose value is written like this, without its quotes."""
    if "\0" in value:
        value = value.replace("\0", _REPLACEMENT)
    return _REFERENCE.sub(_character, value) if "&" in value else value


def _character(reference: re.Match[str]) -> str:
    number, name = reference.groups()
    if number is not None:
        return _numbered(number)
    # In attributes, `&copy=1` is not a reference, because old URLs contain such parameters.
    if not name.endswith(";") and reference.string.startswith("=", reference.end()):
        return reference[0]
    return html5.get(name, reference[0])


def _numbered(text: str) -> str:
    digits, base = (text[1:], 16) if text[0] in "xX" else (text, 10)
    digits = digits.lstrip("0")
    if len(digits) > _MAX_DIGITS:
        return _REPLACEMENT
    number = int(digits or "0", base)
    if number == 0 or number > _MAX_CODE_POINT or 0xD800 <= number <= 0xDFFF:
        return _REPLACEMENT
    return _WINDOWS_1252.get(number) or chr(number)
