"""Tokenizer of HTML (WHATWG, section 13.2.5): tags, their attributes, and the ends of comments and of text content.

It accepts any input, however malformed, and reads each character a constant number of times.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Final, NamedTuple

_SPACE: Final = r"\t\n\f\r "
#: Group 1 is the name, group 2 the value with its quotes. A name can start with `=`. Fails if the text ends in a value.
_ATTRIBUTE_TEXT: Final = (
    rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
    rf"""(?>[{_SPACE}]*+=[{_SPACE}]*+(?:"[^"]*+"|'[^']*+'|[^{_SPACE}>"'][^{_SPACE}>]*+|(?=>))|(?![{_SPACE}]*+=))"""
)
_ATTRIBUTE: Final = re.compile(
    rf"([^{_SPACE}/>][^{_SPACE}/>=]*+)"
    rf"""(?:[{_SPACE}]*+=[{_SPACE}]*+("[^"]*+"|'[^']*+'|[^{_SPACE}>"'][^{_SPACE}>]*+|(?=>)))?+"""
)
#: Group 1 is the slash of an end tag, group 2 the name, and the match ends after `>`.
TAG: Final = re.compile(rf"<(/?)([a-zA-Z][^{_SPACE}/>]*+)((?:[{_SPACE}/]++|{_ATTRIBUTE_TEXT})*+)>")
_COMMENT_END: Final = re.compile(r"--!?>")
#: Elements whose content is text even if it looks like markup, and the end of that content.
_TEXT_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE | re.ASCII)
    for name in ("style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
TEXT_ELEMENTS: Final = frozenset({*_TEXT_ENDS, "script", "plaintext"})
_SCRIPT_MARK: Final = re.compile(rf"<!--|-->|<(/?)script(?=[{_SPACE}/>])", re.IGNORECASE | re.ASCII)
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Attribute(NamedTuple):
    """An attribute: its name in lower case, the position of its value, and the value as written, quotes included."""

    name: str
    at: int
    raw: str


def lower(name: str) -> str:
    """The name in lower case, where only A to Z have one."""
    return name.lower() if name.isascii() else name.translate(_LOWER)


def attributes_of(tag: re.Match[str]) -> Iterator[Attribute]:
    """The attributes of a match of `TAG`. The first of several with the same name counts."""
    for found in _ATTRIBUTE.finditer(tag.string, tag.start(3), tag.end()):
        yield Attribute(lower(found[1]), found.start(2), found[2] or "")


def is_self_closing(tag: re.Match[str]) -> bool:
    """Whether the tag ends in a `/` that is not part of an unquoted value."""
    if not tag[3].endswith("/"):
        return False
    last = None
    for last in _ATTRIBUTE.finditer(tag.string, tag.start(3), tag.end()):  # noqa: B007
        pass
    return last is None or last.end() < tag.end(3)


def unquoted(raw: str) -> str:
    """The raw value without its quotes."""
    return raw[1:-1] if raw[:1] in {'"', "'"} else raw


def end_of_comment(text: str, at: int) -> tuple[int, int] | None:
    """The ends of the content and of the comment at `at`. None: it extends to the end of the text."""
    found = _COMMENT_END.search(text, at + 2)
    if found and found[0] == "--!>" and found.start() < at + 4:
        found = _COMMENT_END.search(text, at + 4)
    return (max(found.start(), at + 4), found.end()) if found else None


def end_of_text(text: str, name: str, at: int, limit: int) -> int | None:
    """The position of the end tag of an element whose content starts at `at`. None: its content goes on to the end."""
    if name == "script":
        return _end_of_script(text, at, limit)
    if name == "plaintext":
        return None
    found = _TEXT_ENDS[name].search(text, at, limit)
    return found.start() if found else None


def _end_of_script(text: str, at: int, limit: int) -> int | None:
    """Sections 13.2.5.15 to 13.2.5.31: in `<!-- <script>`, the next `</script>` ends only the inner script."""
    is_escaped = is_double_escaped = False
    while found := _SCRIPT_MARK.search(text, at, limit):
        at = found.end()
        if found[0] == "<!--":
            # Its dashes may also be those of `-->`.
            at, is_escaped = at - 2, True
        elif found[0] == "-->":
            is_escaped = is_double_escaped = False
        elif not found[1]:
            is_double_escaped = is_escaped
        elif is_double_escaped:
            is_double_escaped = False
        else:
            return found.start()
    return None
