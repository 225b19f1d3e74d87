"""ASCII form of internationalised host names: non-transitional UTS #46 (`faß.de` is not `fass.de`)."""

from __future__ import annotations

from typing import Final

import idna

#: A label longer than this has no ASCII form (RFC 1035), and encoding it would take quadratic time.
MAX_LABEL_CHARS: Final = 63


def ascii_name(name: str) -> str | None:
    """The form of a host or domain name to look up; None if it has none."""
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join(map(_ascii_label, mapped.split(".")))
    except UnicodeError:
        return None


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    if len(label) > MAX_LABEL_CHARS:
        raise UnicodeError("a label is too long")
    # Not idna.encode(): it rejects names that exist and that browsers accept, such as those with emoji.
    return f"xn--{label.encode('punycode').decode()}"
