"""Text of a body: transfer encodings and character sets. Sources: RFC 2045, RFC 2046."""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from typing import Final

#: Codecs that decode slowly, run on other platforms only, or do more than decode characters.
_NOT_CHARSETS: Final = frozenset(
    {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


def transfer_decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The first `limit` bytes of a body without its transfer encoding, as far as that is valid."""
    match encoding.strip().lower():
        case "base64":
            data = re.sub(rb"[^A-Za-z0-9+/]", b"", body[: 2 * limit])
            data = data[: len(data) - (len(data) % 4 == 1)]
            return binascii.a2b_base64(data + b"=" * (-len(data) % 4))[:limit]
        case "quoted-printable":
            return quopri.decodestring(body[: 4 * limit])[:limit]
        case _:
            return body[:limit]


def characters(data: bytes, charset: str, *, cut: bool) -> str:
    """The text of a body in its character set or, if that is unknown, in UTF-8 if it is valid, else in Latin-1.

    `cut` shows that a limit may have cut the last character.
    """
    if charset:
        try:
            name = codecs.lookup(charset).name
            if name not in _NOT_CHARSETS and (name != "ascii" or data.isascii()):
                return data.decode(name, "replace")
        except (LookupError, ValueError, UnicodeError):
            pass
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        if cut and exc.reason == "unexpected end of data":
            return data[: exc.start].decode()
        return data.decode("latin-1")
