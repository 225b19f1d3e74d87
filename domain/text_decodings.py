"""Decodings of text that may be encoded in several ways at once: all of them are tried, and none needs to be declared.

Each takes linear time, and leaves what is not valid as it is.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from collections.abc import Iterable, Iterator
from html.entities import html5
from itertools import islice
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bq])\?([^?\s]*)\?=", re.IGNORECASE)
#: White space between encoded words does not count (RFC 2047, 6.2).
_BETWEEN_WORDS: Final = re.compile(r"\?=[ \t\r\n]+(?==\?)")
_REFERENCE: Final = re.compile(r"&(?:#0*([0-9]{1,7})|#x0*([0-9a-f]{1,6})|([a-z][a-z0-9]{1,30}));?", re.IGNORECASE)
_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_JSON_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})", re.IGNORECASE)
#: UTF-7 (RFC 2152) encodes little of an address.
_UTF7: Final = {"+AEA-": "@", "+AC0-": "-", "+AF8-": "_", "+ACs-": "+"}
#: A character that RFC 6533 escapes in addresses, and those that RFC 3461 encodes in ASCII ones (xtext).
_BRACED: Final = re.compile(r"\\x\{([0-9a-f]{1,6})\}", re.IGNORECASE)
_XTEXT: Final = {"+2B": "+", "+3D": "=", "+40": "@"}
_TAG: Final = re.compile(r"<[^<>]*>")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{12,}")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_CHARSET: Final = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{2,40})", re.IGNORECASE)
_MAX_CHARSETS: Final = 5
#: Those whose views do not depend on what the mail names.
_VIEWED: Final = frozenset({"us-ascii", "ascii", "utf-8", "utf8", "iso-8859-1", "latin1"})
#: Codecs that decode slowly or do more than decode characters.
_NOT_CHARSETS: Final = frozenset(
    {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


def readings(text: str) -> Iterator[str]:
    """The text, and what it becomes step by step: as header field, HTML, URL, JSON or DSN, and without tags."""
    yield text
    for decode in (_words, _references, _percent, _references, _percent, _escapes, _tags):
        decoded = decode(text)
        if decoded != text:
            text = decoded
            yield text


def byte_views(data: bytes, charsets: Iterable[str], *, is_ascii: bool) -> Iterator[str]:
    """The bytes as text, in UTF-8 or else in Latin-1 and the given character sets.

    `is_ascii`: the reader looks for ASCII, which all usual character sets have in common.
    """
    if b"\0" in data:  # UTF-16 or UTF-32
        yield data.replace(b"\0", b"").decode("latin-1")
    try:
        yield data.decode()
    except UnicodeDecodeError:
        yield data.decode("latin-1")
        if not is_ascii:
            yield data.decode("utf-8", "replace")
    if not is_ascii and not data.isascii():
        for charset in charsets:
            yield _characters(data, charset)


def charsets_in(data: bytes) -> list[str]:
    """The first character sets that a mail names."""
    found = (match[1].decode("ascii").lower() for match in islice(_CHARSET.finditer(data), _MAX_CHARSETS))
    return [charset for charset in dict.fromkeys(found) if charset not in _VIEWED]


def quoted_printable(data: bytes) -> bytes:
    """The bytes without quoted-printable (RFC 2045, 6.7), including its soft line breaks."""
    return quopri.decodestring(data) if b"=" in data else data


class Decoded(NamedTuple):
    """The decodings of all parts of a source that may be base64 or hexadecimal, one per line."""

    #: Those of whole parts that are UTF-8.
    texts: bytes
    #: Those of whole parts that are not.
    others: bytes
    #: Those of parts without their first characters: what precedes base64 may look like base64, too.
    shifted: bytes


def decoded_parts(data: bytes) -> Decoded:
    """The parts of the data that may be base64 (RFC 4648, also for URLs) or hexadecimal, decoded."""
    texts: list[bytes] = []
    others: list[bytes] = []
    shifted: list[bytes] = []
    for found in _BASE64.finditer(data):
        block = found[0].translate(_FROM_URL, b"\r\n")
        decoded = _base64(block)
        (texts if _is_utf8(decoded) else others).append(decoded)
        shifted += [_base64(block[start:]) for start in (1, 2, 3)]
    for found in _HEX.finditer(data):
        digits = found[0].decode("ascii")
        shifted += [bytes.fromhex(digits[start : start + (len(digits) - start) // 2 * 2]) for start in (0, 1)]
    return Decoded(*map(b"\n".join, (texts, others, shifted)))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _base64(data: bytes) -> bytes:
    data = data[: len(data) - (len(data) % 4 == 1)]
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def _words(text: str) -> str:
    return _WORD.sub(_word, _BETWEEN_WORDS.sub("?=", text)) if "=?" in text else text


def _word(match: re.Match[str]) -> str:
    data = match[3].encode("utf-8", "surrogatepass")
    if match[2] in "bB":
        decoded = _base64(re.sub(rb"[^A-Za-z0-9+/]", b"", data))
    else:
        decoded = quopri.decodestring(data, header=True)
    return _characters(decoded, match[1].partition("*")[0])


def _characters(data: bytes, charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
        if name not in _NOT_CHARSETS:
            return data.decode(name, "replace")
    except (LookupError, ValueError):
        pass
    return data.decode("utf-8", "replace")


def _references(text: str) -> str:
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        return html5.get(f"{name};", match[0])
    number = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def _percent(text: str) -> str:
    return _PERCENT.sub(_octets, text) if "%" in text else text


def _octets(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")


def _escapes(text: str) -> str:
    if "\\u" in text:
        text = _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if "\\x{" in text:
        text = _BRACED.sub(_braced, text)
    if "+2" in text or "+3" in text or "+4" in text:
        for code, char in _XTEXT.items():
            text = text.replace(code, char)
    if "+A" in text:
        for code, char in _UTF7.items():
            text = text.replace(code, char)
    return text


def _braced(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return chr(number) if number < 0x110000 else match[0]


def _tags(text: str) -> str:
    return _TAG.sub("", text) if "<" in text else text
