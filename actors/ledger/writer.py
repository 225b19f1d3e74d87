"""The ledger's writer, as it is on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from eventsourcing.persistence import StoredEvent

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger import idempotency, replays
from actors.ledger.access import store
from actors.ledger.access.port import AccessChange
from actors.ledger.group_commit import GroupCommit, Work
from actors.ledger.retention.sweeps import RetentionSweeper
from actors.ledger.store_connection import StoreConnection
from actors.metrics.instruments import CommitInstruments
from actors.ports import Clock, RetentionLimits
from domain.delivery import AttemptOutcome, LaneHealth, ReplayProgress
from domain.tracking import EventToRecord, RecordedEvents

#: Seconds within which `check` answers.
CHECK_S: Final = 1.0


class StoreWrites(Protocol):
    """The writes that come with every event, as a store does them. Each is work for its writer."""

    def append(self, events: Sequence[StoredEvent]) -> Work[None]:
        """Inserts events of aggregates, and projects them."""
        ...

    def record_events(self, routes_version: int, events: Sequence[EventToRecord], clock: Clock) -> Work[RecordedEvents]:
        """Stores those events that are new, each with one pending delivery per loop, due at once.

        The work raises `StaleRoutes` or `FirstTaken`.
        """
        ...

    def record_outcomes(self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None) -> Work[None]:
        """Records attempts, and moves each delivery on unless it is further already. What is there already stays.

        `health`: a loop's number, and what replaces what was known of how its handler does.
        """
        ...


class StoreWriter:
    """`LedgerWriter`, `ReplayLedger`, `RetentionLedger`, `AccessLedger` on one store; keeps Idempotency-Keys too.

    Everything it answers is durable. Calls of any number of tasks and event loops share commits, and each stands or
    falls alone. While the store cannot be written calls raise `StoreUnavailable`, and work again when it can be.
    """

    def __init__(self, commits: GroupCommit, connection: StoreConnection, writes: StoreWrites, clock: Clock) -> None:
        self._commits = commits
        self._connection = connection
        self._writes = writes
        self._clock = clock
        self._sweeper = RetentionSweeper(commits, connection, clock)

    def count_by(self, instruments: CommitInstruments) -> None:
        """Counts transactions there from now on."""
        self._commits.instruments = instruments

    async def append(self, events: Sequence[StoredEvent]) -> None:
        """See `LedgerWriter.append`."""
        if events:
            await self._commits.run(self._writes.append(events), len(events))

    async def record_events(self, routes_version: int, events: Sequence[EventToRecord]) -> RecordedEvents:
        """See `LedgerWriter.record_events`."""
        work = self._writes.record_events(routes_version, events, self._clock)
        return await self._commits.run(work, len(events))

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        """See `LedgerWriter.record_outcomes`."""
        rows = len(outcomes) + (health is not None)
        if rows:
            await self._commits.run(self._writes.record_outcomes(outcomes, health), rows)

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """See `ReplayLedger.start_replay`. The writer does not wait for the count.

        Raises:
            InvalidInput: `which` is neither `dead` nor `all`.
            Conflict: another replay of this loop is running.
            StoreUnavailable: retry.
        """
        counted = await asyncio.to_thread(replays.count, self._connection, loop_no, which, since_ms, until_ms)
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
        return await self._sweeper.drop_old(limits, limit)

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

    async def check(self) -> None:
        """Returns when the store can be written.

        Raises:
            StoreUnavailable: it cannot be now; says why.
        """
        await self._commits.check(CHECK_S)

    async def change_access(self, change: AccessChange) -> int:
        """See `AccessLedger.change_access`."""
        return await self._commits.run(lambda cursor: store.change(cursor, change, self._clock.now_ms()), 1)

    async def close(self) -> None:
        """Takes nothing more, and returns when what was taken is written and the store is let go of."""
        await asyncio.to_thread(self._connection.close)
        await self._commits.close()
