"""Keys of one loop in the process that holds it."""

from __future__ import annotations

from typing import Self

from actors.delivery.dependencies import LoopKeySource
from domain.key_set import KeySet


class LoopKeys:
    """The loop's keys as of the last fetch: its secrets and the seal of its headers derive from them."""

    def __init__(self, source: LoopKeySource, loop_id: str, current: KeySet) -> None:
        self._source = source
        self._loop_id = loop_id
        self.current = current

    @classmethod
    async def fetch(cls, source: LoopKeySource, loop_id: str) -> Self:
        """The keys of a loop. Raises `Unavailable`."""
        return cls(source, loop_id, await source.loop_keys(loop_id))

    async def refresh(self) -> None:
        """Fetches them again, after a rotation. Raises `Unavailable`."""
        self.current = await self._source.loop_keys(self._loop_id)
