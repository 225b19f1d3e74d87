"""Runtime of one feedback loop: starts and stops it, and lets its delivery follow its state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import TypeVar

from actors.commands.command import Command
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.dependencies import CommandServices, DeliveryServices
from actors.delivery.lane_config import LaneConfig
from actors.delivery.loop_commands import LoopCommands
from actors.delivery.loop_delivery import LoopDelivery, StoredProgress
from actors.delivery.loop_keys import LoopKeys
from actors.delivery.loop_repository import LoopRepository, retry_until_available
from domain.delivery import OfferedDelivery
from domain.errors import DomainError
from domain.feedback_loop import FeedbackLoop

R = TypeVar("R")

log = logging.getLogger(__name__)


class LoopRuntime:
    """One loop: the only writer of its aggregate, and the only one that delivers to its handler.

    Delivery follows the ledger: only an active loop gets POSTs (I6), and none while the loop's state is unknown. The
    outbox is read when the loop starts, when something falls due, and on `nudge`. Many loops may share a process and
    its services.
    """

    def __init__(
        self,
        loop_id: str,
        services: DeliveryServices,
        telemetry: AttemptTelemetry,
        command_services: CommandServices,
    ) -> None:
        self._loop_id = loop_id
        self._services = services
        self._telemetry = telemetry
        self._command_services = command_services
        self._repository = LoopRepository(loop_id, services.ledger, services.reader, self._follow)
        self._progress: StoredProgress
        self._keys: LoopKeys
        self._commands: LoopCommands
        #: None until the loop has been read from the ledger.
        self._delivery: LoopDelivery | None = None
        self._disabling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Loads the loop, waiting for the ledger if need be, and starts to deliver. Raises NotFound."""
        await retry_until_available(self._start, "a loop cannot be started now", self._loop_id)

    async def _start(self) -> None:
        # Before the loop, so that deliveries which are recorded meanwhile count as new.
        self._progress = await asyncio.to_thread(StoredProgress.read, self._services.reader, self._loop_id)
        self._keys = await LoopKeys.fetch(self._command_services.loop_keys, self._loop_id)
        await self._repository.load()

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do, so that it can be stopped and started again when needed."""
        is_disabling = self._disabling is not None and not self._disabling.done()
        is_delivering = self._delivery is None or not self._delivery.is_idle
        return self._repository.is_settled and not (is_delivering or is_disabling)

    async def stop(self, drain_s: float) -> None:
        """Stops delivering, and records finished deliveries, within about `drain_s` seconds."""
        self._repository.close()
        if self._disabling is not None:
            self._disabling.cancel()
        if self._delivery is not None:
            await self._delivery.stop(drain_s)

    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None:
        """Accepts deliveries that were just recorded; never blocks, and may drop them (the outbox has them)."""
        if self._delivery is not None:
            self._delivery.lane.offer(deliveries)

    def nudge(self) -> None:
        """Reads the outbox soon; never blocks."""
        if self._delivery is not None:
            self._delivery.lane.nudge()

    async def forget_queued(self) -> None:
        """See `Lane.forget_queued`."""
        if self._delivery is not None:
            await self._delivery.lane.forget_queued()

    async def handle(self, command: Command[R]) -> R:
        """Handles a command of this loop, which has been started; returns its answer (None for `RetryDelivery`)."""
        answer: R = await LoopCommands.handlers.dispatch(self._commands, command)
        return answer

    def _follow(self, loop: FeedbackLoop | None) -> None:
        """Applies the loop's settings, and delivers if it may receive; None: its state is unknown."""
        if loop is not None:
            config = LaneConfig.of(self._loop_id, loop, self._keys.current, self._services.clock.now_ms())
            if self._delivery is None:
                self._delivery = self._open(config)
            else:
                self._delivery.lane.update(config)
        if self._delivery is not None:
            self._delivery.set_active(is_active=loop is not None and loop.may_receive)

    def _open(self, config: LaneConfig) -> LoopDelivery:
        delivery = LoopDelivery(self._progress, config, self._services, self._telemetry, self._disable)
        self._commands = LoopCommands(
            self._loop_id, self._repository, delivery, self._services, self._command_services, self._keys
        )
        return delivery

    def _disable(self, reason: str) -> None:
        """Disables the loop in the background."""

        async def disable() -> None:
            await self._repository.change(lambda loop: loop.disable(reason, self._services.clock.now_ms()))

        async def disable_eventually() -> None:
            # A loop that is disabled, unverified or deleted by then gets no POSTs either way.
            with contextlib.suppress(DomainError):
                if self._delivery is not None:
                    await self._delivery.lane.flush()  # whoever sees that it is disabled also sees why
                await retry_until_available(disable, "a loop cannot be disabled now", self._loop_id)
                facts = {"action": "loop_disabled", "loop_id": self._loop_id, "reason": reason}
                log.info("a loop was disabled", extra=facts)

        self._disabling = asyncio.create_task(disable_eventually(), name="disable")
