"""ASCII form of internationalised host names, as browsers look them up."""

from __future__ import annotations

import re
from typing import Final

import idna

#: Characters of an ASCII host name. Look-alikes of `/` or `@` must not become those characters.
_FIT: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=-]+")


def ascii_host(host: str) -> str:
    """The ASCII form by non-transitional UTS #46 (`faß.de` is not `fass.de`); `host` itself if it has none."""
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
    # Not idna.encode(): it rejects names that exist and that browsers accept, such as those with emoji.
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
