"""Optimistic concurrency: a write that loses against another writer is repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from domain.errors import ConcurrentWrite

T = TypeVar("T")

#: Attempts at a change while others write to the same aggregate.
MAX_TRIES: Final = 8


async def retry_on_conflict(attempt: Callable[[], Awaitable[T]], conflict: str) -> T:
    """The result of the first `attempt` (load, decide, append) that does not raise `ConcurrentWrite`.

    Raises:
        ConcurrentWrite: `MAX_TRIES` attempts failed; its text is `conflict`.
    """
    for _ in range(MAX_TRIES):
        with contextlib.suppress(ConcurrentWrite):
            return await attempt()
    raise ConcurrentWrite(conflict)
