"""Parts of a mail, found in linear time within limits on depth, number and header size.

`email`'s own parser checks every line against the boundaries of all levels and recurses once per level, so a hostile
mail can make it slow or end it. This one accepts anything: what has no valid structure is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from itertools import islice
from typing import Final

from domain.returned_mail.decoding import characters, transfer_decoded
from domain.returned_mail.header import Header, split
from domain.returned_mail.limits import MAX_DEPTH, MAX_HEADER_BYTES, MAX_PARTS

#: A line that may be a boundary which its header declares wrongly, and where to look for it.
_BOUNDARY_LINE: Final = re.compile(rb"^--([^\s-][^\r\n]{5,70}?)[ \t]*\r?$", re.MULTILINE)
_MAX_GUESS_BYTES: Final = 64 * 1024
_MAX_GUESSES: Final = 5
#: Parts that contain a message, or its header.
MESSAGES: Final = frozenset({"message/rfc822", "message/global", "message/partial", "message/news"})
HEADERS: Final = frozenset(
    {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers", "text/global-headers"}
)


@dataclass(slots=True)
class Budget:
    """Remaining parts of a mail, and whether anything was ignored."""

    parts: int = MAX_PARTS
    exceeded: bool = False


@dataclass(eq=False)
class Part:
    """One part of a mail. The bytes of `body` are still encoded; `children` are the parts in it."""

    header: Header
    raw_header: bytes
    body: bytes
    type: str
    parameters: dict[str, str]
    #: Whether a message contains it that another part encloses.
    enclosed: bool
    children: list[Part] = field(default_factory=list)

    def walk(self) -> Iterator[Part]:
        """This part and all parts in it, in the order of the mail."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def message(self) -> Part | None:
        """The message that this part encloses."""
        return self.children[0] if self.type in MESSAGES and self.children else None

    def decoded(self, limit: int) -> bytes:
        """The first `limit` bytes of the body without transfer encoding."""
        return transfer_decoded(self.body, self.header.get("content-transfer-encoding"), limit)

    def text(self, limit: int) -> str:
        """About `limit` characters of the body."""
        data = self.decoded(4 * limit)
        return characters(data, self.parameters.get("charset", ""), cut=len(data) == 4 * limit)[:limit]

    @cached_property
    def quoted_header(self) -> Header:
        """The header that a part such as `text/rfc822-headers` contains."""
        return split(self.decoded(MAX_HEADER_BYTES))[0]


def parse(raw: bytes) -> tuple[Part, bool]:
    """The mail as a tree of parts, and whether parts, levels or header bytes beyond the limits were ignored."""
    budget = Budget()
    return _part(raw, "text/plain", 0, budget, enclosed=False, is_message=True), budget.exceeded


def _part(raw: bytes, default_type: str, depth: int, budget: Budget, *, enclosed: bool, is_message: bool) -> Part:
    budget.parts -= 1
    header, raw_header, body, exceeded = split(raw, is_message=is_message)
    budget.exceeded |= exceeded
    type_, parameters = _content_type(header, default_type)
    part = Part(header, raw_header, body, type_, parameters, enclosed)
    if type_.startswith("multipart/"):
        boundary = _boundary(body, parameters.get("boundary", ""))
        default = "message/rfc822" if type_ == "multipart/digest" else "text/plain"
        bodies = _bodies(body, boundary) if boundary else iter(())
    elif type_ in MESSAGES:
        default, enclosed = "text/plain", True
        bodies = iter((part.decoded(len(body)),))
    else:
        return part
    if depth == MAX_DEPTH:
        budget.exceeded = True
        return part
    for content in bodies:
        if budget.parts <= 0:
            budget.exceeded = True
            break
        is_message = type_ in MESSAGES
        child = _part(content, default, depth + 1, budget, enclosed=enclosed, is_message=is_message)
        part.children.append(child)
    return part


def _content_type(header: Header, default: str) -> tuple[str, dict[str, str]]:
    """Type and parameters, both with names in lower case. Other values than `type/subtype` give the default."""
    value = header.get("content-type")
    if not value:
        return default, {}
    type_ = value.partition(";")[0].strip().lower()
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", type_):
        return default, {}
    message = Message()
    message["content-type"] = value[:2_000].replace("\r", " ").replace("\n", " ")
    try:
        parameters = message.get_params(failobj=[], header="content-type")
        return type_, {name.lower(): _value(text) for name, text in parameters[1:]}
    except (ValueError, LookupError, AttributeError, TypeError):
        return type_, {}


def _value(text: str | tuple[str | None, str | None, str]) -> str:
    return text[2] if isinstance(text, tuple) else text


def _boundary(body: bytes, declared: str) -> bytes:
    """The boundary of the parts: the declared one or, if the body does not have it, the first line that looks like one.

    Gateways damage declarations, for example by joining the next field to them.
    """
    boundary = declared.rstrip().encode("utf-8", "surrogateescape")
    if boundary and re.search(rb"^--" + re.escape(boundary) + rb"(?:--|[ \t]*\r?$)", body, re.MULTILINE):
        return boundary
    for found in islice(_BOUNDARY_LINE.finditer(body, 0, _MAX_GUESS_BYTES), _MAX_GUESSES):
        if b"\n--" + found[1] in body[found.end() :]:
            return found[1]
    return boundary


def _bodies(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """The parts between boundary lines. The last boundary may be missing."""
    delimiter = b"--" + boundary
    start = -1
    at = 0 if body.startswith(delimiter) else _next(body, delimiter, 0)
    while at >= 0:
        after = at + len(delimiter)
        end_of_line = body.find(b"\n", after)
        line = body[after : end_of_line if end_of_line >= 0 else len(body)][:80]
        closing = line.startswith(b"--")
        # A longer line is another boundary that starts in the same way.
        if closing or not line.strip():
            if start >= 0:
                yield body[start : max(start, _before(body, at))]
            if closing or end_of_line < 0:
                return
            start = end_of_line + 1
        at = _next(body, delimiter, after)
    if start >= 0:
        yield body[start:]


def _next(body: bytes, delimiter: bytes, at: int) -> int:
    found = body.find(b"\n" + delimiter, max(at - 1, 0))
    return found + 1 if found >= 0 else -1


def _before(body: bytes, at: int) -> int:
    """The end of the part before a boundary line: the line break belongs to the boundary."""
    return at - 2 if body[at - 2 : at] == b"\r\n" else at - 1
