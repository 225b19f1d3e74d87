"""Search for one e-mail address in texts and mails, whatever their encodings.

A miss would keep a person's data, so the search decodes every part of a mail that may be encoded, without trusting the
mail's structure. It reads no archives and no pictures. The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from functools import cached_property
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
_ACE: Final = "xn--"


class AddressSearch:
    """Search for all spellings of one address.

    It finds the address whatever its case and the form of its domain, also as part of a return path
    (`bounce+john=example.com@lists.example`). An address that only ends or begins with it is another one.
    """

    def __init__(self, person: str) -> None:
        """`person`: the local part in lower case, `@`, and the domain in ASCII (`actors.ledger.people.person_of`)."""
        local, at, domain = person.rpartition("@")
        self._local = _plain(local if at else person)
        self._domains = [_plain(each) for each in dict.fromkeys((domain, _unicode_domain(domain)))] if at else [""]
        self._is_ascii = all(text.isascii() for text in (self._local, *self._domains))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        domain = rf"(?:{'|'.join(map(re.escape, self._domains))})"
        local = re.escape(self._local)
        end = r"(?![a-z0-9-])(?!\.[a-z0-9])"
        if self._domains == [""]:
            return re.compile(rf"(?<![a-z0-9.+_-]){local}{end}")
        forms = (
            rf'(?<![a-z0-9.+_-]){local}"?[@%]{domain}{end}',
            rf"(?<![a-z0-9._]){local}={domain}{end}",  # VERP
            rf"={domain}={local}@",  # Sender Rewriting Scheme
        )
        return re.compile("|".join(forms))

    def is_in(self, text: str) -> bool:
        """Whether a text has the address, as it is or as a URL, an HTML page or a header field would encode it."""
        return any(self._is_plainly_in(reading) for reading in readings(text))

    def is_in_mail(self, text: str) -> bool:
        """Whether any part of a mail has the address. `text`: its source, decoded as UTF-8 or as Latin-1."""
        try:
            source = text.encode("utf-8" if self._is_ascii else "latin-1")
        except UnicodeEncodeError:
            source = text.encode("utf-8", "surrogatepass")
        charsets = [] if self._is_ascii else charsets_in(source)
        return self.is_in(text) or self._is_in_source(source, charsets, 0)

    def _is_in_source(self, source: bytes, charsets: list[str], depth: int) -> bool:
        unquoted = quoted_printable(source)
        for data in (source,) if unquoted == source else (source, unquoted):
            if any(self.is_in(view) for view in byte_views(data, charsets, is_ascii=self._is_ascii)):
                return True
        if depth == _MAX_DEPTH:
            return False
        parts = decoded_parts(source)
        views = byte_views(parts.shifted, charsets, is_ascii=self._is_ascii)
        return any(map(self._is_plainly_in, views)) or any(
            self._is_in_source(part, charsets, depth + 1) for part in (parts.texts, parts.others) if part
        )

    def _is_plainly_in(self, text: str) -> bool:
        plain = _plain(text)
        # Most texts do not have the local part; looking for it is much faster than the pattern.
        return self._local in plain and self._pattern.search(plain) is not None


def _plain(text: str) -> str:
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


def _unicode_domain(domain: str) -> str:
    return ".".join(_unicode_label(label) for label in domain.split("."))


def _unicode_label(label: str) -> str:
    if not label.startswith(_ACE):
        return label
    try:
        return label.removeprefix(_ACE).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
