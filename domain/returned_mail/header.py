"""Header of a mail or of one of its parts: its fields, and where it ends."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail.limits import MAX_HEADER_BYTES, MAX_HEADER_FIELDS

_FIELD: Final = re.compile(rb"([!-9;-~]{1,80})[ \t]*:")


class Header:
    """Fields of a header, by name in lower case."""

    __slots__ = ("_values",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> str:
        """The first value of a field; empty if there is none."""
        return self._values.get(name, [""])[0]

    def all(self, *names: str) -> list[str]:
        """All values of the fields, in the order of `names`."""
        return [value for name in names for value in self._values.get(name, ())]


def split(raw: bytes, *, is_message: bool = True) -> tuple[Header, bytes, bytes, bool]:
    """Header, its bytes, the body, and whether the header exceeds the limits.

    A header ends with the first empty line, or before the first line that is neither a field nor its continuation.
    Empty lines before the header of a message are skipped; a part that begins with one has no header.
    """
    start = at = _start_of_header(raw) if is_message else 0
    fields: list[tuple[str, list[bytes]]] = []
    end = min(len(raw), start + MAX_HEADER_BYTES)
    while at < end:
        newline = raw.find(b"\n", at, end)
        stop = end if newline < 0 else newline + 1
        line = raw[at:stop].rstrip(b"\r\n")
        if not line:
            return _header(fields), raw[start:at], raw[stop:], False
        if line[:1] in (b" ", b"\t") and fields:
            if line.strip() or _continues(raw, stop):
                fields[-1][1].append(line.strip())
            else:
                return _header(fields), raw[start:at], raw[stop:], False
        elif found := _FIELD.match(line):
            if len(fields) == MAX_HEADER_FIELDS:
                break
            fields.append((found[1].decode("ascii").lower(), [line[found.end() :].strip()]))
        elif line.startswith((b"From ", b">From ")):
            pass
        else:
            return _header(fields), raw[start:at], raw[at:], False
        at = stop
    if at >= len(raw):
        return _header(fields), raw[start:], b"", False
    rest = re.compile(rb"\n\r?\n").search(raw, max(at - 2, 0))
    return _header(fields), raw[start:at], raw[rest.end() :] if rest else b"", True


def _start_of_header(raw: bytes) -> int:
    """The position after empty lines, which some programs put before the header."""
    blank = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*\r?\n)*").match(raw[:4096])
    return blank.end() if blank else 0


def _continues(raw: bytes, at: int) -> bool:
    """Whether a field or a continuation follows a line of spaces, which some gateways put into headers."""
    line = raw[at : at + 200].partition(b"\n")[0]
    return line[:1] in (b" ", b"\t") and bool(line.strip())


def _header(fields: list[tuple[str, list[bytes]]]) -> Header:
    return Header([(name, _line(b" ".join(lines))) for name, lines in fields])


def _line(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
