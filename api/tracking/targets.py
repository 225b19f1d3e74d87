"""Targets of tracked links: the URL that a browser would open, by the URL standard (WHATWG)."""

from __future__ import annotations

import re
from typing import Final

import can_ada

from domain.message import LINK_TOO_LONG, MAX_LINK_BYTES, link_problem

#: White space and control characters around a URL, which are removed (section 4.4), as are line breaks and tabs in it.
OUTER_SPACE: Final = "".join(map(chr, range(0x21)))
_INNER_SPACE: Final = str.maketrans("", "", "\t\n\r")
#: These lead to the same page whatever the base, and in programs that do not follow the standard.
_ORDINARY: Final = re.compile(r"https?://[^/\\]", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(?:https?:[/\\]*+|[/\\]{2})([^/\\?#]*+)", re.IGNORECASE)
#: Longer names have no address: they have at most 253 characters in ASCII (RFC 1035), which needs no fewer, and a port.
_MAX_HOST_CHARS: Final = 300
_WEB_LINK: Final = re.compile(r"https?:", re.IGNORECASE)
_WEB: Final = frozenset({"http", "https"})
#: The standard ignores a `<base>` with one of these.
_NO_BASES: Final = ("data:", "javascript:")


class UntrackableLinkError(ValueError):
    """A link that no browser can open, or that is too long. The text is the reason."""


def base_url(href: str | None) -> can_ada.URL | None:
    """The URL of a `<base href>`; None if browsers ignore it."""
    if href is None or _is_too_long(href) or (base := parse_url(href)) is None:
        return None
    return None if base.protocol in _NO_BASES else base


def target_of(href: str, base: can_ada.URL | None = None) -> str | None:
    """The absolute http(s) URL that a link leads to, as it was spelled if possible. None: no link to the web.

    Raises:
        UntrackableLinkError: it is meant to lead to the web but cannot be tracked.
    """
    text = href.strip(OUTER_SPACE).translate(_INNER_SPACE)
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1].lower() not in _WEB:
        return None
    if scheme is None and base is None:
        if text[:1] in {"", "#"}:
            return None
        raise UntrackableLinkError("is relative, and there is no <base href> with an absolute URL")
    if _is_too_long(text):
        raise UntrackableLinkError(LINK_TOO_LONG)
    # Checked before the URL is read, because a long international name would take quadratic time.
    if not text.isascii() and _has_long_host(text):
        raise UntrackableLinkError("is a URL with a host that is longer than any name")
    is_ordinary = _ORDINARY.match(text) is not None
    found = parse_url(text, None if is_ordinary else base)
    if found is None:
        raise UntrackableLinkError("is not a URL that browsers can open")
    if found.protocol[:-1] not in _WEB:
        return None
    target = text if is_ordinary and link_problem(text) is None else found.href
    if problem := link_problem(target):
        raise UntrackableLinkError(problem)
    return target


def _has_long_host(text: str) -> bool:
    found = _AUTHORITY.match(text)
    return found is not None and len(found[1].rpartition("@")[2]) > _MAX_HOST_CHARS


def _is_too_long(text: str) -> bool:
    return len(text) > MAX_LINK_BYTES or len(text.encode(errors="ignore")) > MAX_LINK_BYTES


def given_link_problem(link: str) -> str | None:
    """Why a link that does not come from a document cannot be tracked, or None."""
    try:
        is_web = _WEB_LINK.match(link.lstrip(OUTER_SPACE)) is not None and target_of(link) is not None
    except UntrackableLinkError as exc:
        return str(exc)
    return None if is_web else "must start with http:// or https://"


def parse_url(text: str, base: can_ada.URL | None = None) -> can_ada.URL | None:
    """The URL, in a link to it from `base`; None if no browser can open it."""
    try:
        return can_ada.parse(text) if base is None else base + text
    except (ValueError, TypeError):  # TypeError: half of a surrogate pair
        return None
