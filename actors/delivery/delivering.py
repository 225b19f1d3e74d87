"""What a loop's deliveries are made by, once it is known how the loop stands: its lane, and its replay."""

from __future__ import annotations

import asyncio
import random as randoms
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.lane import Lane
from actors.delivery.prefetch_buffer import SharedBytes
from actors.delivery.replay_driver import ReplayDriver
from actors.delivery.request_builder import LaneConfig
from actors.delivery.telemetry import AttemptTelemetry
from actors.ledger.port import LedgerReader
from actors.ports import Clock, HttpClient, LedgerWriter, ReplayLedger
from domain.delivery import LaneHealth, OfferedDelivery, ReplayProgress
from domain.errors import NotFound
from domain.retry import RetrySchedule

DISABLE_AFTER_S: Final = 5 * 24 * 3600.0


class LoopLedger(LedgerWriter, ReplayLedger, Protocol):
    """What a loop writes."""


class _Standing(NamedTuple):
    """What the ledger knows of a loop besides its events."""

    loop_no: int
    health: LaneHealth
    newest_delivery_id: int
    has_replay: bool


class Delivering:
    """Delivers while it is told to. Before the first time there is no lane, and nothing in the ledger is touched."""

    def __init__(
        self,
        *,
        loop_id: str,
        ledger: LoopLedger,
        reader: LedgerReader,
        http_client: HttpClient,
        clock: Clock,
        retry_schedule: RetrySchedule,
        timeout_s: float,
        random: randoms.Random,
        shared_bytes: SharedBytes,
        disable_after_s: float,
        on_disable: Callable[[str], None],
        notes: AttemptTelemetry,
        duty: CpuThrottle | None,
    ) -> None:
        self._loop_id = loop_id
        self._ledger = ledger
        self._reader = reader
        self._http_client = http_client
        self._clock = clock
        self._retry_schedule = retry_schedule
        self._timeout_s = timeout_s
        self._random = random
        self._shared_bytes = shared_bytes
        self._disable_after_s = disable_after_s
        self._on_disable = on_disable
        self._notes = notes
        self._duty = duty
        self._standing = _Standing(0, LaneHealth(), 0, has_replay=False)
        self._lane: Lane | None = None
        self._replaying: ReplayDriver | None = None

    @property
    def health(self) -> LaneHealth:
        """How the handler does, as far as this process knows."""
        return LaneHealth() if self._lane is None else self._lane.health

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is in hand and no replay runs; False before the first `follow`."""
        if self._lane is None or self._replaying is None:
            return False
        return not (self._lane.in_hand or self._replaying.has_one)

    async def look_up(self) -> None:
        """Reads how the loop stands. Raises NotFound when there is no such loop."""
        self._standing = await asyncio.to_thread(self._look_up)

    def _look_up(self) -> _Standing:
        row = self._reader.loop(self._loop_id)
        if row is None:
            raise NotFound(f"there is no feedback loop {self._loop_id}")
        return _Standing(
            row.no,
            self._reader.health(row.no),
            self._reader.newest_delivery_id(),
            self._reader.running_replay(row.no) is not None,
        )

    def _open(self, config: LaneConfig) -> tuple[Lane, ReplayDriver]:
        loop_no, health, newest_delivery_id, has_replay = self._standing
        lane = Lane(
            loop_no=loop_no,
            config=config,
            ledger=self._ledger,
            reader=self._reader,
            http_client=self._http_client,
            clock=self._clock,
            rng=self._random,
            retry_schedule=self._retry_schedule,
            timeout_s=self._timeout_s,
            disable_after_s=self._disable_after_s,
            on_disable=self._on_disable,
            health=health,
            newest_before=newest_delivery_id,
            shared_bytes=self._shared_bytes,
            notes=self._notes,
            duty=self._duty,
        )
        replaying = ReplayDriver(loop_no, self._ledger, self._reader, lane.nudge, self._loop_id)
        lane.start()
        replaying.start(has_one=has_replay)
        return lane, replaying

    def follow(self, config: LaneConfig, *, may_receive: bool) -> None:
        """Delivers as `config` says from now on, or nothing: a loop that may not receive keeps its backlog."""
        if self._lane is None or self._replaying is None:
            self._lane, self._replaying = self._open(config)
        else:
            self._lane.update(config)
        if may_receive:
            self._lane.resume()
            self._replaying.resume()
        else:
            self.hold()

    def hold(self) -> None:
        """Begins nothing until the next `follow`."""
        if self._lane is not None and self._replaying is not None:
            self._lane.pause()
            self._replaying.pause()

    async def stop(self, drain_s: float) -> None:
        """Delivers no more, and records what has been delivered, within about `drain_s` seconds."""
        if self._replaying is not None:
            await self._replaying.stop()
        if self._lane is not None:
            await self._lane.stop(drain_s)

    # --- deliveries

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Takes what enrichment has just recorded; never blocks, and may drop it (the outbox has it)."""
        if self._lane is not None:
            self._lane.offer(deliveries)

    def nudge(self) -> None:
        """Has the outbox looked into; never blocks."""
        if self._lane is not None:
            self._lane.nudge()

    def forgive(self) -> None:
        """Forgets the handler's failures."""
        if self._lane is not None:
            self._lane.forgive()

    def probe_now(self) -> None:
        """Tries the handler again at once, if it is thought to be down."""
        if self._lane is not None:
            self._lane.probe_now()

    def is_begun(self, delivery_id: int) -> bool:
        """Whether an attempt of a delivery is under way, or waits to be recorded."""
        return self._lane is not None and self._lane.is_begun(delivery_id)

    async def retry(self, delivery_id: int) -> None:
        """Gives a delivery back to the outbox, whatever its state, and attempts it before all others."""
        await self._ledger.retry_delivery(delivery_id)
        pending = await asyncio.to_thread(self._reader.pending_delivery, self._standing.loop_no, delivery_id)
        if self._lane is not None and pending is not None:
            self._lane.retry_now(pending)

    async def replay(self, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        """Begins a replay (`which`: `dead` or `all`). Raises Conflict when another one of the loop is running."""
        progress = await self._ledger.start_replay(self._standing.loop_no, which, since_ms, until_ms)
        if self._replaying is not None:
            self._replaying.nudge()
        return progress
