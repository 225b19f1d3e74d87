"""Retention on the ledger's side: finds expired rows on a read connection, and deletes them through the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actors.ledger.group_commit import GroupCommit
from actors.ledger.retention.personal_sweeps import MailSweep, MessageSweep, ProfileHistorySweep
from actors.ledger.retention.report_sweeps import DigestSweep, ReportSweep
from actors.ledger.retention.sweeps import (
    START,
    AttemptSweep,
    DeliverySweep,
    EventSweep,
    IdempotencySweep,
    Position,
    ReplaySweep,
    Sweep,
)
from actors.ledger.store_connection import Row, StoreConnection
from actors.ports import Clock, RetentionLimits


class RetentionSweeper:
    """`RetentionLedger`. Each call is one step of one sweep; the sweeps take turns. For one caller at a time.

    A sweep continues where its last step ended, past the rows that stay, and starts again when it reaches the end.
    """

    def __init__(self, commits: GroupCommit, connection: StoreConnection, clock: Clock) -> None:
        self._commits = commits
        self._connection = connection
        self._sweeps: list[Sweep] = [
            DeliverySweep(),
            EventSweep(),
            AttemptSweep(),
            ReplaySweep(),
            ReportSweep(clock),
            DigestSweep(clock),
            IdempotencySweep(clock),
            MailSweep(clock),
            MessageSweep(clock),
            ProfileHistorySweep(),
        ]
        self._after: dict[Sweep, Position] = {}

    async def drop_old(self, limits: RetentionLimits, limit: int) -> int:
        for _ in range(len(self._sweeps)):
            sweep = self._sweeps.pop(0)
            self._sweeps.append(sweep)
            if dropped := await self._step(sweep, limits, limit):
                return dropped
        return 0

    async def _step(self, sweep: Sweep, limits: RetentionLimits, limit: int) -> int:
        while True:
            after = self._after.get(sweep, START)
            expired = await asyncio.to_thread(sweep.find, self._connection, limits, after, limit)
            dropped = await self._drop(sweep, expired.rows) if expired.rows else 0
            self._after[sweep] = expired.last
            if dropped or after == expired.last == START:
                return dropped

    async def _drop(self, sweep: Sweep, rows: Sequence[Row]) -> int:
        return await self._commits.run(lambda cursor: sweep.drop(cursor, rows), len(rows))
