"""Statistics handlers: attempts and events counted by the minute, and backlogs."""

from __future__ import annotations

import asyncio
from typing import Final

from actors.application.context import CommandService
from actors.application.loops import owned_loop
from actors.commands.handlers import HandlerTable
from actors.commands.statistics import (
    AttemptMinute,
    EventMinute,
    ListAttemptMinutes,
    ListEventMinutes,
    ListStatistics,
    LoopStatistics,
)
from actors.ledger.loop_projection import LoopRow
from domain.statistics import KEPT_MINUTES, MINUTE_MS

#: Maximum count of a backlog.
MAX_COUNTED: Final = 100_000


class StatisticsService(CommandService):
    """Handles commands about statistics."""

    handlers = HandlerTable()

    @handlers.add(ListStatistics)
    async def list_statistics(self, command: ListStatistics) -> list[LoopStatistics]:
        """The statistics of each loop, in the order of the command."""
        rows = [await owned_loop(self._reader, command.account, loop_id) for loop_id in command.loop_ids]
        since = self._since(command.minutes)
        return await asyncio.to_thread(lambda: [self._loop_statistics(row, since) for row in rows])

    def _loop_statistics(self, row: LoopRow, since: int) -> LoopStatistics:
        return LoopStatistics(
            loop_id=row.id,
            counts=self._reader.attempts_since(row.no, since),
            backlog=self._reader.backlog(row.no, MAX_COUNTED),
            last_event_ms=self._reader.newest_delivery_ms(row.no),
        )

    @handlers.add(ListAttemptMinutes)
    async def list_attempt_minutes(self, command: ListAttemptMinutes) -> list[AttemptMinute]:
        """The loop's attempts by the minute."""
        row = await owned_loop(self._reader, command.account, command.loop_id)
        return await asyncio.to_thread(self._reader.attempt_minutes, row.no, self._since(command.minutes))

    @handlers.add(ListEventMinutes)
    async def list_event_minutes(self, command: ListEventMinutes) -> list[EventMinute]:
        """The account's events by the minute."""
        return await asyncio.to_thread(self._reader.event_minutes, command.account.no, self._since(command.minutes))

    def _since(self, minutes: int) -> int:
        return self._clock.now_ms() // MINUTE_MS - min(minutes, KEPT_MINUTES) + 1
