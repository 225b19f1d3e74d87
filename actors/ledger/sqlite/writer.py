"""The ledger's writer on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteDatastore

from actors.adapters.clock import SystemClock
from actors.commands import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger.access_port import AccessChange
from actors.ledger.sqlite import access, idempotency, outbox, replays
from actors.ledger.sqlite.connection import open_writer, refusal
from actors.ledger.sqlite.group_commit import GroupCommit
from actors.ledger.sqlite.reading import ReadConnection
from actors.ledger.sqlite.recorder import LedgerRecorder
from actors.ledger.sqlite.retention import Sweep
from actors.ledger.sqlite.schema import migrate
from actors.ports import Clock, RetentionLimits
from domain.delivery import AttemptOutcome, LaneHealth, ReplayProgress
from domain.tracking import EventToRecord, RecordedEvents

Connect = Callable[[Path], sqlite3.Connection]


class SQLiteLedger:
    """`LedgerWriter`, `ReplayLedger` and `RetentionLedger` on one SQLite file, and the keeper of Idempotency-Keys.

    One at a time for a file.

    Everything it answers is fsynced. Calls of any number of tasks and event loops share commits, and each stands or
    falls alone. While the file cannot be written calls raise `StoreUnavailable`, and work again when it can be.
    """

    def __init__(self, path: Path, clock: Clock | None = None, connect: Connect = open_writer) -> None:
        """Makes the file, or brings it to this program's schema.

        Raises:
            StoreError: it was written by a newer program.
            StoreUnavailable: it cannot be opened.
        """
        self._clock = clock or SystemClock()
        # The recorder lends its way of inserting; its own connections are never opened.
        self._recorder = LedgerRecorder(SQLiteDatastore(str(path)))
        try:
            self._commits = GroupCommit(partial(_connect_migrated, path, connect))
        except sqlite3.Error as exc:
            raise refusal(exc) from exc
        self._reading = ReadConnection(path)
        self._sweep = Sweep(self._commits, self._reading, self._clock)

    async def append(self, events: Sequence[StoredEvent]) -> None:
        """See `LedgerWriter.append`."""
        if events:
            await self._commits.run(lambda cursor: self._recorder.insert_within(cursor, events), len(events))

    async def record_events(self, routes_version: int, events: Sequence[EventToRecord]) -> RecordedEvents:
        """See `LedgerWriter.record_events`."""
        return await self._commits.run(
            lambda cursor: outbox.record_events(cursor, routes_version, events, self._clock.now_ms()), len(events)
        )

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        """See `LedgerWriter.record_outcomes`."""
        rows = len(outcomes) + (health is not None)
        if rows:
            await self._commits.run(lambda cursor: outbox.record_outcomes(cursor, outcomes, health), rows)

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """See `ReplayLedger.start_replay`. The writer does not wait for the count.

        Raises:
            InvalidInput: `which` is neither `dead` nor `all`.
            Conflict: another replay of this loop is running.
            StoreUnavailable: retry.
        """
        counted = await asyncio.to_thread(replays.count, self._reading, loop_no, which, since_ms, until_ms)
        asked = (loop_no, which, since_ms, until_ms, counted)
        return await self._commits.run(lambda cursor: replays.start(cursor, *asked, self._clock.now_ms()), 1)

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        """See `ReplayLedger.advance_replay`. An unknown replay is `NotFound`."""
        return await self._commits.run(
            lambda cursor: replays.advance(cursor, replay_id, limit, self._clock.now_ms()), limit
        )

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        """See `ReplayLedger.cancel_replay`. An unknown replay is `NotFound`."""
        return await self._commits.run(lambda cursor: replays.cancel(cursor, replay_id), 1)

    async def retry_delivery(self, delivery_id: int) -> None:
        """See `ReplayLedger.retry_delivery`. An unknown delivery is `NotFound`."""
        await self._commits.run(lambda cursor: replays.retry(cursor, delivery_id, self._clock.now_ms()), 1)

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """See `RetentionLedger.drop_old`. Expired Idempotency-Keys go too. For one caller at a time."""
        return await self._sweep.drop_old(limits, limit)

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        """Claims an Idempotency-Key; None: go ahead.

        Raises:
            IdempotencyConflict: its request is in progress, or it was used for another one.
            StoreUnavailable: retry.
        """
        return await self._commits.run(lambda cursor: idempotency.claim(cursor, command, self._clock.now_ms()), 1)

    async def keep_answer(self, command: KeepAnswer) -> None:
        """Keeps the answer of a claimed key for 24 h, or frees the key. The body is stored as it is given.

        Raises:
            StoreUnavailable: retry.
        """
        await self._commits.run(lambda cursor: idempotency.keep(cursor, command, self._clock.now_ms()), 1)

    async def change_access(self, change: AccessChange) -> int:
        """See `AccessLedger.change_access`."""
        return await self._commits.run(lambda cursor: access.change(cursor, change, self._clock.now_ms()), 1)

    async def close(self) -> None:
        """Takes nothing more, and returns when what was taken is written and the file is closed."""
        await asyncio.to_thread(self._reading.close)
        await self._commits.close()


def _connect_migrated(path: Path, connect: Connect) -> sqlite3.Connection:
    connection = connect(path)
    try:
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection
