"""Renewals of a front end's journal file: when it has forwarded enough, and how often without an erasure."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

from api.journal.spool import Spool

#: Seconds to wait for a moment in which the journal is empty, and between two looks.
_QUIET_S: Final = 2.0
_QUIET_POLL_S: Final = 0.02
#: Seconds between renewals of a journal without an erasure: clicks and reports of people who were erased before leave
#: their bytes in its free pages.
RENEWAL_S: Final = 3600.0


class RenewableJournal(Protocol):
    """The edge journal."""

    @property
    def spool(self) -> Spool: ...

    @property
    def last_seq(self) -> int: ...

    def holds(self, up_to_seq: int) -> bool:
        """Whether an entry up to this number is in memory or on disk."""
        ...

    def set_aside_hits(self) -> list[tuple[int, bytes]]:
        """Every entry set aside so far, with its number. Reads the disk."""
        ...

    async def renew(self, above_seq: int, dropped: Collection[int] = ()) -> None:
        """Starts a new file with the entries above this number, and with those set aside except `dropped`.

        Raises:
            StoreUnavailable: the old file is still used.
        """
        ...


class JournalRenewals:
    """Renewals of one journal, one at a time."""

    def __init__(self, journal: RenewableJournal) -> None:
        self._journal = journal
        #: The number up to which the journal has to be empty before the next renewal without an erasure; None: not due.
        self._due_seq: int | None = None
        self._renewed_seq = -1
        self._renewed_s = float("-inf")

    async def is_forwarded(self, up_to_seq: int) -> bool:
        """Whether the journal holds none of these entries. Later ones are about people who had been erased before."""
        return not self._journal.holds(up_to_seq)

    async def last_forwarded(self, noted_seq: int) -> int:
        """A number up to which everything is forwarded: the last one of all, if there is a quiet moment soon.

        Then even what arrived during the erasure leaves no byte.
        """
        ends_s = asyncio.get_running_loop().time() + _QUIET_S
        while asyncio.get_running_loop().time() < ends_s:
            last_seq = self._journal.last_seq
            if not self._journal.holds(last_seq):
                return last_seq
            await asyncio.sleep(_QUIET_POLL_S)
        return noted_seq

    async def renew(self, above_seq: int, dropped: Collection[int] = ()) -> None:
        await self._journal.renew(above_seq, dropped)
        self._renewed_seq = above_seq
        self._renewed_s = asyncio.get_running_loop().time()
        self._due_seq = None

    async def renew_sometimes(self) -> None:
        """Renews the journal after a start, and then at intervals, once it has forwarded what it holds."""
        now_s = asyncio.get_running_loop().time()
        is_time = now_s - self._renewed_s >= RENEWAL_S
        if self._due_seq is None and is_time and self._journal.last_seq != self._renewed_seq:
            self._due_seq = self._journal.last_seq
        if self._due_seq is not None and not self._journal.holds(self._due_seq):
            await self.renew(self._due_seq)
