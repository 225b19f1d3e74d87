"""Texts of a mail for a search, whatever their encodings.

The views do not trust the mail's structure: every part that may be encoded is decoded. They take linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import normalize

from domain.text_decodings import byte_views, charsets_in, decoded_parts, quoted_printable, readings

#: Levels of base64 within base64.
_MAX_DEPTH: Final = 3
#: Where normalization may change something. In pieces, because long runs of combining marks take quadratic time.
_COMPOSED: Final = re.compile(r"[\s\S]?[^\x00-\x7f]{1,500}")
#: Combining marks and Hangul letters, without which text is in NFC, but for characters that no address has.
_MARK: Final = re.compile("[\u0300-\u036f\u1100-\u11ff\u3099\u309a]")
#: Characters without width.
_UNSEEN: Final = re.compile("[\u00ad\u200b\u200c\u200d\u2060\ufeff]")
#: Full-width forms of ASCII, and the full stops of ideographic domain names (UTS #46).
_WIDE: Final = re.compile("[\uff01-\uff5e\u3002\uff61]")
_FULL_STOPS: Final = "\u3002\uff61"
_WIDE_TO_ASCII: Final = 0xFEE0


def mail_views(text: str, *, is_ascii: bool) -> Iterator[str]:
    """All texts that a mail may be read as. `text`: its source, decoded as UTF-8 or as Latin-1.

    `is_ascii`: the reader looks for ASCII, for which fewer views are enough.
    """
    yield from readings(text)
    try:
        source = text.encode("utf-8" if is_ascii else "latin-1")
    except UnicodeEncodeError:
        source = text.encode("utf-8", "surrogatepass")
    charsets = [] if is_ascii else charsets_in(source)
    yield from _source_views(source, charsets, 0, is_ascii=is_ascii)


def _source_views(source: bytes, charsets: list[str], depth: int, *, is_ascii: bool) -> Iterator[str]:
    unquoted = quoted_printable(source)
    for data in (source,) if unquoted == source else (source, unquoted):
        for view in byte_views(data, charsets, is_ascii=is_ascii):
            yield from readings(view)
    if depth == _MAX_DEPTH:
        return
    parts = decoded_parts(source)
    yield from byte_views(parts.shifted, charsets, is_ascii=is_ascii)
    for part in (parts.texts, parts.others):
        if part:
            yield from _source_views(part, charsets, depth + 1, is_ascii=is_ascii)


def plain_text(text: str) -> str:
    """The text in lower case and NFC, without invisible characters, and with ASCII instead of full-width forms."""
    lower = text.lower()
    if lower.isascii():
        return lower
    try:
        lower.encode("latin-1")
    except UnicodeEncodeError:
        seen = _WIDE.sub(_narrow, _UNSEEN.sub("", lower))
        return _COMPOSED.sub(lambda match: normalize("NFC", match[0]), seen) if _MARK.search(seen) else seen
    return lower.replace("\xad", "")  # Latin-1 is in NFC


def _narrow(match: re.Match[str]) -> str:
    return "." if match[0] in _FULL_STOPS else chr(ord(match[0]) - _WIDE_TO_ASCII).lower()
