"""Head of an HTTP/1.1 response: the status line, and what its headers say about the body and the connection.

As lenient as curl: lines may end with LF, a header line needs no colon, and the last of several lengths counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

#: How much of the headers is kept for people.
HEAD_START_BYTES: Final = 2048
#: Line breaks that may come before the status line.
MAX_EMPTY_BYTES: Final = 8
STATUS_LINE: Final = re.compile(
    rb"[\r\n]{0,8}HTTP/([0-9](?:\.[0-9])?)[ \t]+([1-9][0-9]{2})(?![0-9])([^\n]*)(\n)", re.IGNORECASE
)
#: The empty line after the headers. curl takes every line that starts with CR as empty.
HEAD_END: Final = re.compile(rb"\n(?:\r[^\n]*)?\n")

#: The header lines that matter, and the start of a folded line (RFC 9112 5.2).
_FIELDS: Final = re.compile(
    rb"\n(?:(content-length|transfer-encoding|connection|retry-after)([ \t]*):[ \t]*([^\r\n]*)|[ \t])", re.IGNORECASE
)
_FOLD: Final = re.compile(rb"\r*\n[ \t]+")
_FOLDED_LINE: Final = re.compile(rb"\n[ \t][^\n]*")
_FOLDED_VALUE: Final = re.compile(rb":[ \t\r]*\n[ \t]+")
_NAMELESS_LINE: Final = re.compile(rb"\n(?![!#$%&'*+.^_`|~0-9A-Za-z-]+:)")
_NUMBER: Final = re.compile(rb"\+?0*([0-9]+)")
#: A longer number is no length.
_MAX_LENGTH_DIGITS: Final = 18
_BODILESS: Final = frozenset({204, 304})


class Framing(NamedTuple):
    """How the body of a response ends."""

    #: None: with the connection, unless it is chunked.
    length: int | None
    is_chunked: bool = False
    #: Whether the headers leave doubt, so that only the status is certain.
    is_doubtful: bool = False


class Head(NamedTuple):
    """The head of one response."""

    status: int
    #: The text after the status, as sent.
    reason: bytes
    #: The header lines, each after a line break.
    fields: bytes
    #: The first headers, one per line.
    start: bytes
    framing: Framing
    #: Whether the handler keeps the connection open.
    keeps_alive: bool
    retry_after: str | None

    def values(self, name: bytes) -> list[bytes]:
        """The values of all headers with this name (in lower case), in order."""
        return [value.strip() for value in re.findall(rb"(?i:\n%b[ \t]*:)([^\n]*)" % re.escape(name), self.fields)]


def read_head(line: re.Match[bytes], fields: bytes) -> Head:
    """Reads a head. `line` is its match of `STATUS_LINE`; `fields` are its header lines, each after a line break."""
    found = _FIELDS.findall(fields)
    lengths, codings, connection, retry_after, is_doubtful = [], [], b"", None, False
    for name, space, value in found:
        size = len(name)  # differs between the four names
        if size == 14 and not space:
            lengths.append(value)
        elif size == 10:
            connection += value
        elif size == 11:
            retry_after = value.decode("latin-1").rstrip()
        elif not size:
            return _read_folded(line, fields)
        elif space:  # another name, strictly, but who knows what was meant
            is_doubtful = True
        else:
            codings.append(value)
    status = int(line[2])
    framing = _framing(status, fields, lengths, codings)
    if is_doubtful:
        framing = framing._replace(is_doubtful=True)
    if line[1] == b"1.1":
        keeps_alive = not connection or b"close" not in connection.lower()
    else:
        keeps_alive = b"keep-alive" in connection.lower()
    return Head(status, line[3], fields, _start(fields), framing, keeps_alive, retry_after)


def _read_folded(line: re.Match[bytes], fields: bytes) -> Head:
    """Reads a head with folded lines. Like curl, it ignores them unless the whole value is on one."""
    head = read_head(line, _FOLDED_LINE.sub(b"", _FOLDED_VALUE.sub(b":", fields)))
    unfolded = _FOLD.sub(b" ", fields)
    return head._replace(fields=unfolded, start=_start(unfolded))


def _start(fields: bytes) -> bytes:
    return fields[1 : 2 * HEAD_START_BYTES].replace(b"\r\n", b"\n").rstrip()[:HEAD_START_BYTES]


def _framing(status: int, fields: bytes, lengths: Sequence[bytes], codings: Sequence[bytes]) -> Framing:
    if status in _BODILESS:
        return Framing(0)
    if codings:
        is_chunked = b",".join(codings).rpartition(b",")[2].strip().lower() == b"chunked"
        return Framing(None, is_chunked=is_chunked, is_doubtful=bool(lengths) or not is_chunked)
    if not lengths:
        return Framing(None, is_doubtful=_NAMELESS_LINE.search(fields) is not None)  # which may have been the length
    return _length(lengths)


def _length(values: Sequence[bytes]) -> Framing:
    """The last length, as in curl. Anything but one number leaves doubt."""
    if len(values) == 1 and values[0].isdigit() and len(values[0]) <= _MAX_LENGTH_DIGITS:  # nearly always
        return Framing(int(values[0]))
    values = [value.strip() for value in values]
    is_doubtful = not values[-1].isdigit() or len(set(values)) > 1
    for value in reversed(values):
        number = _NUMBER.match(value)
        if number is None:
            break
        if len(number[1]) <= _MAX_LENGTH_DIGITS:
            return Framing(int(number[1]), is_doubtful=is_doubtful)
    return Framing(None, is_doubtful=True)
