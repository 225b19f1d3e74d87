"""All that may be an e-mail address in texts and mails, whatever their encodings.

It serves the search for addresses of which only digests are known; `domain.address_search` looks for one that is known.
Both see the same texts. The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from domain.mail_views import mail_views, plain_text
from domain.text_decodings import readings

#: RFC 5321, 4.5.3.1.
_MAX_LOCAL: Final = 64
_MAX_DOMAIN: Final = 255
_NO_ADDRESS: Final = r"\s<>()\[\],;:\"@"
#: The end of a local part, read backwards.
_LOCAL: Final = re.compile(rf"[^{_NO_ADDRESS}]+")
#: Where a local part may begin within what looks like one: behind what no address search takes for a part of it.
_BEGINS: Final = re.compile(r"(?<![a-z0-9.+_-])")
#: The same for an address within a return path (VERP).
_BEGINS_IN_PATH: Final = re.compile(r"(?<![a-z0-9._])")
_ASCII_DOMAIN: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")
#: ASCII or other letters and their marks; and without what may be punctuation behind a domain.
_WIDE_DOMAIN: Final = re.compile(r"[a-z0-9.\x80-\U0010ffff-]+")
_WORD_DOMAIN: Final = re.compile(r"[\w.-]+")
_SEPARATOR: Final = re.compile(r"[@%=]")
#: The local part of the Sender Rewriting Scheme, behind the domain: `example.com=john@`.
_REWRITTEN: Final = re.compile(rf"=([^{_NO_ADDRESS}=]{{1,64}})@")


def possible_addresses(texts: Iterable[str], mails: Iterable[str], limit: int) -> list[str]:
    """The first addresses in texts (fields of events, say), and in any part of mails; each once, in lower case."""
    found: dict[str, None] = {}
    views = (view for text in texts for view in readings(text))
    for candidate in islice(_all(views, mails), 8 * limit):
        found.setdefault(candidate)
        if len(found) == limit:
            break
    return list(found)


def _all(views: Iterable[str], mails: Iterable[str]) -> Iterator[str]:
    for view in views:
        yield from _candidates(plain_text(view), needs_dot=False)
    for mail in mails:
        for view in readings(mail):
            yield from _candidates(plain_text(view), needs_dot=False)
        # In decoded pictures, anything may look like a short domain.
        for view in mail_views(mail, is_ascii=False):
            yield from _candidates(plain_text(view), needs_dot=True)


def _candidates(text: str, *, needs_dot: bool) -> Iterator[str]:
    for separator in _SEPARATOR.finditer(text):
        at = separator.start()
        is_plain = separator[0] == "@"
        for domain in _domains(text, at + 1, needs_dot=needs_dot or not is_plain):
            for local in _locals(text, at, _BEGINS if is_plain or separator[0] == "%" else _BEGINS_IN_PATH):
                yield f"{local}@{domain}"
            if separator[0] == "=" and (rewritten := _REWRITTEN.match(text, at + 1 + len(domain))):
                yield f"{rewritten[1]}@{domain}"


def _domains(text: str, start: int, *, needs_dot: bool) -> Iterator[str]:
    """The possible domains at a position. What follows one may look like its end."""
    seen = set()
    for pattern in (_ASCII_DOMAIN, _WIDE_DOMAIN, _WORD_DOMAIN):
        if match := pattern.match(text, start, start + _MAX_DOMAIN):
            domain = match[0].rstrip(".-")
            if domain and domain not in seen and ("." in domain or not needs_dot):
                seen.add(domain)
                yield domain


def _locals(text: str, end: int, begins: re.Pattern[str]) -> Iterator[str]:
    """The possible local parts before a position."""
    before = text[max(0, end - _MAX_LOCAL - 2) : end]
    if before.endswith('"'):
        quoted = before[:-1].rpartition('"')[2]
        yield quoted
        yield f'"{quoted}"'
    elif match := _LOCAL.match(before[::-1]):
        local = match[0][::-1][-_MAX_LOCAL:]
        for begin in begins.finditer(local):
            if part := local[begin.start() :]:
                yield part
