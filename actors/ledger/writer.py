"""Ledger writer, the part that is the same on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from eventsourcing.persistence import StoredEvent

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.installation.erasure_file import ErasureLine
from actors.ledger import idempotency, replays
from actors.ledger.access import store
from actors.ledger.access.port import AccessChange
from actors.ledger.erasure import store as erasure_store
from actors.ledger.erasure.after_restore import repeat
from actors.ledger.erasure.port import ErasureChange
from actors.ledger.erasure.store_access import ErasureStore
from actors.ledger.group_commit import GroupCommit
from actors.ledger.retention.sweeper import RetentionSweeper
from actors.ledger.session import Work
from actors.ledger.store_connection import StoreConnection
from actors.metrics.instruments import CommitInstruments
from actors.ports import Clock, RetentionLimits
from domain.delivery import AttemptOutcome, LaneHealth, ReplayProgress
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord

#: The most seconds that `check` takes.
CHECK_S: Final = 1.0
#: Outcomes of a loop that is behind its backlog are written at once.
PATIENT_ROWS: Final = 64


class StoreWrites(Protocol):
    """The frequent writes, which each store implements in its own way. Each method returns work for `GroupCommit`."""

    def append(self, events: Sequence[StoredEvent]) -> Work[None]:
        """Stores events of aggregates and updates the read models."""
        ...

    def record_events(
        self,
        routes_version: int,
        events: Sequence[EventToRecord],
        reports: Sequence[ReportToRecord],
        clock: Clock,
    ) -> Work[RecordedEvents]:
        """Stores new events and reports, each event with one pending delivery per loop, due now.

        The work raises `StaleRoutes` or `FirstTaken`.
        """
        ...

    def record_outcomes(self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None) -> Work[None]:
        """Records new attempts, and updates each delivery unless the delivery has already progressed further.

        `health`: the number of a loop, and its new health.
        """
        ...


class StoreWriter:
    """`LedgerWriter`, `ChangeLedger`, `ReplayLedger`, `RetentionLedger`, `AccessLedger`, `ErasureLedger` on one store.

    Also keeps Idempotency-Keys.

    A call returns once its writes are durable. Calls from any number of tasks and event loops share commits, and each
    fails alone. Calls raise `StoreUnavailable` while the store cannot be written, and work again once it can.
    """

    def __init__(self, commits: GroupCommit, connection: StoreConnection, writes: StoreWrites, clock: Clock) -> None:
        self._commits = commits
        self._connection = connection
        self._writes = writes
        self._clock = clock
        self._sweeper = RetentionSweeper(commits, connection, clock)

    def count_commits(self, instruments: CommitInstruments) -> None:
        """Counts transactions with these instruments from now on."""
        self._commits.instruments = instruments

    async def append(self, events: Sequence[StoredEvent]) -> None:
        if events:
            await self._commits.run(self._writes.append(events), len(events))

    async def record_events(
        self, routes_version: int, events: Sequence[EventToRecord], reports: Sequence[ReportToRecord] = ()
    ) -> RecordedEvents:
        work = self._writes.record_events(routes_version, events, reports, self._clock)
        return await self._commits.run(work, len(events) + sum(1 + len(report.events) for report in reports))

    async def append_and_record(
        self,
        changes: Sequence[StoredEvent],
        routes_version: int,
        events: Sequence[EventToRecord],
        also: Work[None] | None = None,
    ) -> RecordedEvents:
        """See `ChangeLedger.append_and_record`. `also`: more work of the same transaction."""
        append = self._writes.append(changes)
        record = self._writes.record_events(routes_version, events, (), self._clock)

        def work(cursor: Any) -> RecordedEvents:
            append(cursor)
            recorded = record(cursor)
            if also is not None:
                also(cursor)
            return recorded

        return await self._commits.run(work, len(changes) + len(events))

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        rows = len(outcomes) + (health is not None)
        if rows:
            # Nobody waits for a few outcomes, but hits would wait for their commit.
            work = self._writes.record_outcomes(outcomes, health)
            await self._commits.run(work, rows, is_patient=rows < PATIENT_ROWS)

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """See `ReplayLedger.start_replay`. Deliveries are counted on a read connection, so other writes do not wait.

        Raises:
            InvalidInput: `which` is not a kind of replay.
            TemporaryConflict: the loop has another running replay.
            StoreUnavailable: retry.
        """
        counted = await asyncio.to_thread(replays.count, self._connection, loop_no, which, since_ms, until_ms)
        asked = (loop_no, which, since_ms, until_ms, counted)
        return await self._commits.run(lambda cursor: replays.start(cursor, *asked, self._clock.now_ms()), 1)

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        """See `ReplayLedger.advance_replay`. Raises `NotFound` for an unknown replay."""
        missed = await asyncio.to_thread(replays.find_missed, self._connection, replay_id, limit)
        return await self._commits.run(
            lambda cursor: replays.advance(cursor, replay_id, limit, self._clock.now_ms(), missed), limit
        )

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        """See `ReplayLedger.cancel_replay`. Raises `NotFound` for an unknown replay."""
        return await self._commits.run(lambda cursor: replays.cancel(cursor, replay_id), 1)

    async def retry_delivery(self, delivery_id: int) -> None:
        """See `ReplayLedger.retry_delivery`. Raises `NotFound` for an unknown delivery."""
        await self._commits.run(lambda cursor: replays.retry(cursor, delivery_id, self._clock.now_ms()), 1)

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        """See `RetentionLedger.drop_old`. Also drops expired Idempotency-Keys. Only one caller may use it at a time."""
        return await self._sweeper.drop_old(limits, limit)

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        """Claims an Idempotency-Key. Returns None if the request may proceed, or the stored answer of a repeated one.

        Raises:
            IdempotencyConflict: the request is in progress, or the key belongs to another request.
            StoreUnavailable: retry.
        """
        return await self._commits.run(lambda cursor: idempotency.claim(cursor, command, self._clock.now_ms()), 1)

    async def keep_answer(self, command: KeepAnswer) -> None:
        """Stores the answer of a claimed key for 24 h, or frees the key. The body is stored unchanged.

        Raises:
            StoreUnavailable: retry.
        """
        await self._commits.run(lambda cursor: idempotency.keep(cursor, command, self._clock.now_ms()), 1)

    async def check(self) -> None:
        """Returns if the store can be written.

        Raises:
            StoreUnavailable: the store cannot be written; the text gives the reason.
        """
        await self._commits.check(CHECK_S)

    async def change_access(self, change: AccessChange) -> int:
        return await self._commits.run(lambda cursor: store.change(cursor, change, self._clock.now_ms()), 1)

    async def change_erasures(self, change: ErasureChange) -> str:
        return await self._commits.run(lambda cursor: erasure_store.change(cursor, change, self._clock.now_ms()), 1)

    async def repeat_erasures(self, erasures: Sequence[ErasureLine]) -> int:
        now_ms = self._clock.now_ms()
        return await self._commits.run(lambda cursor: repeat(cursor, erasures, now_ms), max(1, len(erasures)))

    @property
    def erasure_store(self) -> ErasureStore:
        """Access for the steps of erasures."""
        return ErasureStore(self._commits, self._connection, self._clock)

    async def close(self) -> None:
        """Refuses new calls, and returns when all accepted ones are written and the store is closed."""
        await asyncio.to_thread(self._connection.close)
        await self._commits.close()
