"""Queue of reports that wait for a commit of the journal. Unlike hits, they are refused when the disk does not work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.errors import JournalUnavailable, Overloaded

#: Bytes that may wait.
MAX_WAITING_BYTES: Final = 32 << 20


class ReportGroup(NamedTuple):
    """The reports of one request, which are saved in one commit or not at all."""

    entries: Sequence[bytes]
    size: int
    saved: asyncio.Future[None]


class ReportQueue:
    """Groups of reports in the order of their arrival, with a bound on their bytes."""

    def __init__(self) -> None:
        self._groups: deque[ReportGroup] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, entries: Sequence[bytes]) -> asyncio.Future[None]:
        """Adds a group. The future is done when it is saved, or has the error that refuses it.

        Raises:
            Overloaded: too many bytes wait already.
        """
        size = sum(map(len, entries))
        if self._groups and self._bytes + size > MAX_WAITING_BYTES:
            raise Overloaded("too many reports wait for the disk")
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._groups.append(ReportGroup(entries, size, saved))
        self._bytes += size
        return saved

    def take(self, max_bytes: int) -> list[ReportGroup]:
        """Removes the first groups: at most `max_bytes`, unless the first is longer."""
        taken: list[ReportGroup] = []
        size = 0
        while self._groups and (not taken or size + self._groups[0].size <= max_bytes):
            group = self._groups.popleft()
            self._bytes -= group.size
            if not group.saved.cancelled():  # the client is still there
                taken.append(group)
                size += group.size
        return taken

    def refuse_all(self, problem: str) -> None:
        """Refuses every group that waits."""
        while self._groups:
            refuse([self._groups.popleft()], problem)
        self._bytes = 0


def accept(groups: Sequence[ReportGroup]) -> None:
    """Reports that these groups are saved."""
    for group in groups:
        if not group.saved.done():
            group.saved.set_result(None)


def refuse(groups: Sequence[ReportGroup], problem: str, *, may_be_saved: bool = False) -> None:
    """Refuses these groups, unless they have been answered. `may_be_saved`: they may turn out to be on disk."""
    for group in groups:
        if not group.saved.done():
            group.saved.set_exception(JournalUnavailable(problem, may_be_saved))
