"""Queries for replays, for lanes and for the API."""

from __future__ import annotations

from typing import Final

from actors.commands.command import Page
from actors.commands.deliveries import Replay
from actors.ledger.queries.pagination import Number, decode_cursor, page_of
from actors.ledger.replays import PROGRESS, progress_of
from actors.ledger.store_connection import StoreConnection
from domain.delivery import ReplayProgress

RUNNING: Final = f"SELECT {PROGRESS} FROM replays WHERE loop_no = $1 AND state = 'running'"  # noqa: S608 - constants only
REPLAY: Final = f"SELECT {PROGRESS} FROM replays WHERE id = $1 AND loop_no = $2"  # noqa: S608 - constants only
REPLAYS: Final = (
    f"SELECT {PROGRESS} FROM replays {{by replays_of_loop}}"  # noqa: S608 - constants only
    " WHERE loop_no = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
)
_NEWEST: Final = 2**63 - 1


class ReplayQueries(StoreConnection):
    """The part of `LedgerReader` that reads replays."""

    def running_replay(self, loop_no: int) -> ReplayProgress | None:
        """The running replay of the loop, if any; there is at most one."""
        found = self.row(RUNNING, (loop_no,))
        return progress_of(found) if found else None

    def replay(self, loop_no: int, replay_id: int) -> Replay | None:
        """A replay of the loop by number."""
        found = self.row(REPLAY, (replay_id, loop_no))
        return Replay.of(progress_of(found)) if found else None

    def list_replays(self, loop_no: int, limit: int, cursor: str | None) -> Page[Replay]:
        """Replays of the loop, newest first.

        Raises:
            InvalidInput: the cursor is not from this list.
        """
        (before,) = decode_cursor(cursor, tuple[Number]) if cursor is not None else (_NEWEST,)
        found = self.rows(REPLAYS, (loop_no, before, limit + 1))
        return page_of(found, limit, lambda row: Replay.of(progress_of(row)), lambda row: [row[0]])
