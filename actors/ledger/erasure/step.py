"""Steps of an erasure: what the runner asks of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.ledger.dialect import Cursor
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import Counts, RunningErasure, StepName


class Found(NamedTuple):
    """Rows that a step found, and the position after them. A step without further rows has ended."""

    rows: Sequence[Row]
    #: Row ids and numbers only, never anything personal.
    position: str


class ErasureStep(Protocol):
    """A step that redacts rows of the store, a batch at a time."""

    name: StepName

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        """The next rows after `erasure.position`, about `limit`; no rows at the end. Reads only what is committed."""
        ...

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        """Redacts the rows in one short transaction, which also keeps position and counts.

        Rows may have been redacted already, or be gone: these are not counted.
        """
        ...


class Advance(NamedTuple):
    """The result of some work on a step."""

    #: The erasures for which the step has ended.
    done: Sequence[RunningErasure]
    #: Whether there is more to do at once; otherwise the others wait for another process.
    has_more: bool = False
    #: What the others wait for: names of processes or programs, with what holds them up in parentheses.
    waits_for: Sequence[str] = ()


class ErasureAction(Protocol):
    """A step of any kind, for all erasures that have come to it.

    It may begin again at any time, also from the start, because a process may be killed. It keeps its own progress with
    `actors.ledger.erasure.store.keep_progress`, in the transaction of what it writes.
    """

    name: StepName

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        """Does a part of the work. An erasure that waits does not hold up the others.

        Raises:
            StoreUnavailable: try again later.
        """
        ...
