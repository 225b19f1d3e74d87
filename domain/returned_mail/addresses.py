"""E-mail addresses in fields and running text. Sources: RFC 5321, RFC 6533; BATV drafts for `prvs=`; SRS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_LOCAL_CHARS: Final = 64
MAX_DOMAIN_CHARS: Final = 255
#: Characters between a URL's scheme and an address in it.
_MAX_IN_URL: Final = 300

#: With the Latin letters beyond ASCII (RFC 6531). Those of other scripts may be words that end at the address.
_LETTER: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_ATOM: Final = rf"{_LETTER}0-9!#$%&'*+/=?^_`{{|}}~.\-"
_LABEL: Final = rf"[{_LETTER}0-9](?:[{_LETTER}0-9_-]{{0,62}}[{_LETTER}0-9])?"
_LOCAL_BEFORE: Final = re.compile(rf"[{_ATOM}]*$")
_QUOTED_BEFORE: Final = re.compile(r'"[^"\r\n]{1,64}"$')
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LITERAL: Final = re.compile(r"\[(?:IPv6:)?[0-9A-Fa-f.:]{3,45}\]")
#: In angle brackets, any character is part of the address (RFC 6531).
_BRACKETED: Final = re.compile(
    r"<\s*(?:mailto:|smtp:)?([^<>@\s\"]{1,64}|\"[^\"\r\n]{1,64}\")@([^<>@\s\[\]]{1,255})\s*>", re.IGNORECASE
)
#: An address type before the address, as in `SMTP=user@example.com` or `rfc822;user@example.com`.
_TYPE_PREFIX: Final = re.compile(r"^(?:.*[=:;])?(?:smtp|rfc-?822|mailto)[=:;]", re.IGNORECASE)
#: No address contains them, but servers let them pass.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BATV: Final = re.compile(r"^(?:prvs|btv1)=+[0-9a-z]{1,64}=+", re.IGNORECASE)
_SRS: Final = re.compile(r"^srs[01][=+-].*=([^=]+\.[^=]+)=([^=]+)$", re.IGNORECASE)
_VERP: Final = re.compile(r"^(?:[^=@]*\+([^=@+]+)|[^=@+]*-([^=@+-]+))=([a-z0-9.-]+\.[a-z]{2,63})$", re.IGNORECASE)
_UTF8_ESCAPE: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")

#: Local parts of mail systems and of people who run them (RFC 2142), never those of a recipient.
_ROLE: Final = re.compile(
    r"^(?:mailer[-_.]?daemon|mail[-_.]?daemon|mdaemon|post[-_.]?master|abuse|hostmaster|mailadm(?:in)?|no-?reply|do-?not-?reply"
    r"|help-?desk|support|postmast)$",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """An address in a text, with its position."""

    address: str
    start: int
    end: int


def find(text: str) -> Iterator[Found]:
    """The addresses in running text, in order. The cost is linear in the length of the text."""
    at = text.find("@")
    while at >= 0:
        if not _in_url(text, at) and (found := _found_at(text, at)):
            yield found
        at = text.find("@", at + 1)


def first(text: str) -> str:
    """The first address of a field such as `To`; empty if there is none."""
    for found in find(text[:4_000]):
        return found.address
    return ""


def all_in(text: str) -> list[str]:
    """All addresses of a field."""
    return [found.address for found in find(text[:20_000])]


def of_status_field(value: str) -> str:
    """The address in a field such as `Final-Recipient: rfc822; user@example.com`; empty if there is none."""
    type_, semicolon, rest = _CONTROL.sub("", value).partition(";")
    text = rest if semicolon and "@" not in type_ else type_ + semicolon + rest
    text = _UTF8_ESCAPE.sub(_character, text.strip())
    if "@" not in text and "+40" in text:
        text = _XTEXT.sub(lambda code: chr(int(code[1], 16)), text)
    if found := _BRACKETED.search(text):
        text = f"{found[1]}@{found[2]}"
    elif (found_at := next(find(text), None)) and not text[: found_at.start][-1:].isalpha():
        return found_at.address
    text = text.strip().strip("<>").strip()
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or re.search(r"\s", domain) or len(text) > MAX_LOCAL_CHARS + MAX_DOMAIN_CHARS:
        return ""
    return normal(text)


def normal(address: str) -> str:
    """The address without a type or BATV tag before it; empty if that leaves no address."""
    address = _TYPE_PREFIX.sub("", address).strip().rstrip(".")
    address = _BATV.sub("", address)
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or len(local) > MAX_LOCAL_CHARS + 2:
        return ""
    return f"{local}@{domain}"


def original_of(address: str) -> str:
    """The recipient that a bounce address encodes (VERP, SRS); empty if it encodes none."""
    local = normal(address).rpartition("@")[0]
    if srs := _SRS.match(local):
        return f"{srs[2]}@{srs[1]}"
    if verp := _VERP.match(local):
        return f"{verp[1] or verp[2]}@{verp[3]}"
    return ""


def is_role(address: str) -> bool:
    """Whether the address belongs to a mail system or its operators."""
    return bool(_ROLE.match(address.rpartition("@")[0]))


def same(one: str, other: str) -> bool:
    """Whether two addresses are the same for almost all servers: upper and lower case do not differ."""
    return one.casefold() == other.casefold()


def _found_at(text: str, at: int) -> Found | None:
    """The address around an `@`."""
    start = max(0, at - MAX_LOCAL_CHARS)
    before = text[start:at]
    local = _QUOTED_BEFORE.search(before) or _LOCAL_BEFORE.search(before)
    domain = _LITERAL.match(text, at + 1) or _DOMAIN.match(text, at + 1, at + 1 + MAX_DOMAIN_CHARS)
    if local and local[0] and domain:
        name = local[0].lstrip("'*=/|`.~{&")
        if name and ("." in domain[0] or _in_brackets(text, at - len(name), domain.end())):
            address = normal(f"{name}@{domain[0]}")
            return Found(address, at - len(local[0]), domain.end()) if address else None
    elif found := _BRACKETED.match(text, max(text.rfind("<", start, at), 0)):
        return Found(f"{found[1]}@{found[2]}", found.start(), found.end())
    return None


def _in_url(text: str, at: int) -> bool:
    """Whether a position belongs to a URL, whose characters an address may have, too."""
    scheme = text.rfind("://", max(0, at - _MAX_IN_URL), at)
    return scheme >= 0 and len(text[scheme:at].split()) == 1


def _in_brackets(text: str, start: int, end: int) -> bool:
    return text[max(start - 1, 0) : start] == "<" and text[end : end + 1] == ">"


def _character(code: re.Match[str]) -> str:
    number = int(code[1], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "?"
