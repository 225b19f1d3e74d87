"""Delivery of one loop's events: its lane and its replay driver, run together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.dependencies import DeliveryServices
from actors.delivery.lane import Lane
from actors.delivery.lane_config import LaneConfig
from actors.delivery.replay_driver import ReplayDriver
from actors.ledger.reader import LedgerReader
from domain.delivery import LaneHealth, ReplayProgress
from domain.errors import NotFound


class StoredProgress(NamedTuple):
    """State of a loop's deliveries in the ledger when the loop starts."""

    loop_no: int
    health: LaneHealth
    newest_delivery_id: int
    has_replay: bool

    @classmethod
    def read(cls, reader: LedgerReader, loop_id: str) -> StoredProgress:
        """Reads it; blocks. Raises NotFound when there is no such loop."""
        row = reader.loop(loop_id)
        if row is None:
            raise NotFound(f"there is no feedback loop {loop_id}")
        has_replay = reader.running_replay(row.no) is not None
        return cls(row.no, reader.health(row.no), reader.newest_delivery_id(), has_replay)


class LoopDelivery:
    """The lane and the replay driver of one loop: both work only while the loop may receive."""

    def __init__(
        self,
        progress: StoredProgress,
        config: LaneConfig,
        services: DeliveryServices,
        telemetry: AttemptTelemetry,
        on_disable: Callable[[str], None],
    ) -> None:
        """`on_disable` gets the reason why the lane gave up on the handler."""
        self._loop_no = progress.loop_no
        self._ledger = services.ledger
        self._reader = services.reader
        self.lane = Lane(
            progress.loop_no,
            config,
            services,
            telemetry,
            on_disable,
            health=progress.health,
            newest_before=progress.newest_delivery_id,
        )
        self._replay_driver = ReplayDriver(
            progress.loop_no,
            services.ledger,
            services.reader,
            self.lane.nudge,
            config.loop_id,
            has_replay=progress.has_replay,
        )
        self.lane.start()
        self._replay_driver.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is buffered and no replay is running."""
        return not (self.lane.buffered or self._replay_driver.has_replay)

    def set_active(self, *, is_active: bool) -> None:
        """Starts or stops delivering; the backlog stays in the outbox."""
        if is_active:
            self.lane.resume()
            self._replay_driver.resume()
        else:
            self.lane.pause()
            self._replay_driver.pause()

    async def stop(self, drain_s: float) -> None:
        """Stops delivering, and records finished deliveries, within about `drain_s` seconds."""
        await self._replay_driver.stop()
        await self.lane.stop(drain_s)

    async def retry(self, delivery_id: int) -> None:
        """Makes a delivery due, whatever its state, and attempts it ahead of all others."""
        await self._ledger.retry_delivery(delivery_id)
        pending = await asyncio.to_thread(self._reader.pending_delivery, self._loop_no, delivery_id)
        if pending is not None:
            self.lane.retry_now(pending)

    async def replay(self, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """Starts a replay (`which`: `dead`, `missed` or `all`). Raises TemporaryConflict during another one."""
        progress = await self._ledger.start_replay(self._loop_no, which, since_ms, until_ms)
        self._replay_driver.nudge()
        return progress
