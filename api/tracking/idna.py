"""ASCII form of the hosts of tracked links, as browsers look them up."""

from __future__ import annotations

import re
from typing import Final

from actors.adapters.host_names import MAX_LABEL_CHARS, ascii_name

#: Characters of an ASCII host name. Look-alikes of `/` or `@` must not become those characters.
_FIT: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=-]+")


def ascii_host(host: str) -> str:
    """The ASCII form; `host` itself if it has none."""
    if host.isascii():
        return host
    found = ascii_name(host)
    if found is None or _FIT.fullmatch(found) is None:
        return host
    return found if all(len(label) <= MAX_LABEL_CHARS for label in found.split(".")) else host
