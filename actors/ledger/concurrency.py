"""Optimistic concurrency: a write that loses against another writer is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from domain.errors import ConcurrentWrite

R = TypeVar("R")

MAX_TRIES: Final = 8


async def retry_conflicts(write: Callable[[], Awaitable[R]], what: str) -> R:
    """Calls `write`, which loads, decides and appends, until no other writer was first. `what` names the object.

    Raises:
        ConcurrentWrite: others were first `MAX_TRIES` times in a row.
    """
    for _ in range(MAX_TRIES):
        try:
            return await write()
        except ConcurrentWrite:
            continue
    raise ConcurrentWrite(f"others keep writing to {what}; try again")
