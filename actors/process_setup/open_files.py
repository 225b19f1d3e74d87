"""Limit of open files: raised as far as this process may, since a service without files resets connections."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

#: A front end with some thousand connections is usual; below this, a burst of clicks meets the limit.
ENOUGH: Final = 4096


def raise_limit() -> int:
    """Raises the soft limit of this process, and of those that it starts, to the hard one. Returns the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS reports a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return _number(soft)


def _number(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit
