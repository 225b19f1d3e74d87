"""Internationalised host names, spelled as browsers look them up."""

from __future__ import annotations

import re
from typing import Final

import idna

#: What a host name in ASCII has. Characters that only look like `/` or `@` may not become one.
_FIT: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=-]+")


def ascii_host(host: str) -> str:
    """The name by UTS #46 without transition (`faß.de` is not `fass.de`); as it is where that gives no name."""
    if host.isascii():
        return host
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        labels = [_ascii_label(label) for label in mapped.split(".")]
    except UnicodeError:
        return host
    found = ".".join(labels)
    return found if _FIT.fullmatch(found) and all(len(label) < 64 for label in labels) else host


def _ascii_label(label: str) -> str:
    # Not idna.encode(): it refuses names that exist and browsers go to, such as those with emoji.
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
