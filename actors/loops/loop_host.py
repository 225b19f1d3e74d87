"""Host of many feedback loops in one process. A loop without work costs only a set entry."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

from actors.commands.command import Command
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_poller import OutboxPoller
from actors.ledger.reader import LedgerReader
from actors.loops.awake_loops import REST_S, AwakeLoop, AwakeLoops, Runtime
from actors.loops.orders import HostStatus, Order
from actors.ports import Clock, HttpClient
from domain.delivery import OfferedDelivery
from domain.errors import FeedbackLoopsError, Moved, NotMigrated, Unavailable

R = TypeVar("R")

log = logging.getLogger(__name__)

#: Awake loops, of about 20 KB each, above which resting ones are put to sleep.
MAX_AWAKE: Final = 8192
#: Maximum due loops woken together. Live traffic is served in the pauses.
WAKING_AT_ONCE: Final = 64
WAKING_PAUSE_S: Final = 0.05
#: How long a heartbeat request stays open; the end of the process answers it earlier.
HEARTBEAT_S: Final = 5.0


class LoopHost:
    """Holds the loops that the supervisor assigned to this incarnation, and no others.

    An idle loop costs only a set entry; it is started on demand: by an offer, a nudge, a command, or when it is due.
    One query per second finds the due loops. Resting loops are put to sleep again when too many are awake.

    After its release, a loop delivers nothing and runs no command here, so another process may hold it.
    """

    def __init__(
        self,
        *,
        incarnation: str,
        node: str,
        make_runtime: Callable[[str], Runtime],
        reader: LedgerReader,
        http_client: HttpClient,
        clock: Clock,
        max_awake: int = MAX_AWAKE,
    ) -> None:
        """All runtimes share `http_client`, which is closed with the host."""
        self._incarnation = incarnation
        self._node = node
        self._reader = reader
        self._can_read = False
        self._http_client = http_client
        self._max_awake = max_awake
        self._held: set[str] = set()
        #: Loops that are being released.
        self._leaving: set[str] = set()
        self._last_order = Order("", "", 0)
        self._last_status_request = self._last_order
        self._awake = AwakeLoops(make_runtime)
        self._to_wake: deque[str] = deque()
        self._wake_timer: asyncio.TimerHandle | None = None
        self._poller = OutboxPoller(reader, MonotonicWallClock(clock), self._on_due)

    def start(self) -> None:
        """Starts to poll the outbox, in the running event loop."""
        self._poller.start()

    async def stop(self, drain_s: float) -> None:
        """Stops delivering, and records finished deliveries within about `drain_s`, at the end of the process."""
        self._held.clear()
        await self._poller.stop()
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        await self._awake.stop_working(drain_s)
        await self._http_client.close()

    @property
    def awake(self) -> int:
        """Number of awake loops."""
        return len(self._awake)

    # --- the supervisor's orders

    async def check_reading(self) -> None:
        """Returns once the host can read the loops that it may be assigned.

        Raises:
            Unavailable: the ledger still has the previous version's schema, so loops should stay where they are.
        """
        if self._can_read:
            return
        try:
            await asyncio.to_thread(self._reader.newest_delivery_id)
        except NotMigrated as exc:
            raise Unavailable(str(exc)) from exc
        except FeedbackLoopsError:  # the store is down for every host, so no other is better
            return
        self._can_read = True

    def status(self, order: Order) -> HostStatus:
        """The host's status. From now on it obeys the supervisor that asks, and refuses older orders."""
        self._last_status_request, last = order, self._last_order
        if order.supervisor != last.supervisor or order.sequence > last.sequence:
            self._last_order = order
        return HostStatus(self._incarnation, self._node, sorted(self._held))

    async def heartbeat(self, incarnation: str) -> None:
        """Returns after `HEARTBEAT_S` if the host is still in that incarnation.

        Raises:
            Moved: the process was restarted.
        """
        if incarnation != self._incarnation:
            raise Moved("the process has been restarted")
        await asyncio.sleep(HEARTBEAT_S)

    async def assign(self, order: Order, loop_ids: Iterable[str]) -> None:
        """Adds loops; those that are due are woken soon.

        Raises:
            Moved: the order was overtaken.
        """
        self._obey(order)
        self._held.update(loop_ids)
        self._poller.poll_now()

    async def release(self, order: Order, loop_ids: Collection[str], drain_s: float) -> list[str]:
        """Removes loops: resting ones at once, others within about `drain_s` (0: not at all).

        Returns the loops that the host no longer holds, or never held.

        Raises:
            Moved: the order was overtaken.
        """
        self._obey(order)
        released = await asyncio.gather(*(self._release(loop_id, drain_s) for loop_id in loop_ids))
        return [loop_id for loop_id, is_released in zip(loop_ids, released, strict=True) if is_released]

    def _obey(self, order: Order) -> None:
        last = self._last_order
        is_expected = (order.incarnation, order.supervisor) == (self._incarnation, last.supervisor)
        if not is_expected or order.sequence < last.sequence:
            raise Moved("the order was overtaken")
        self._last_order = order

    async def _release(self, loop_id: str, drain_s: float) -> bool:
        awake, status_request = self._awake.get(loop_id), self._last_status_request
        is_busy = awake is not None and not awake.is_idle
        if loop_id in self._leaving or (is_busy and not drain_s):
            return False
        self._leaving.add(loop_id)
        try:
            if awake is not None and awake.commands:
                await asyncio.wait(awake.commands, timeout=drain_s)
                if awake.commands:
                    return False
            await self._awake.stop(loop_id, drain_s or REST_S)
            if status_request is not self._last_status_request:  # reported as held since, so it must stay
                return False
            self._held.discard(loop_id)
            return True
        finally:
            self._leaving.discard(loop_id)

    # --- deliveries and commands

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        """Passes on deliveries that were just recorded; without any, makes the loop read its outbox.

        Never blocks, and may drop the deliveries (the outbox has them).
        """
        awake = self._use(loop_id)
        if awake is not None and deliveries:
            awake.runtime.offer(deliveries)
        elif awake is not None:
            awake.runtime.nudge()

    async def call(self, loop_id: str, command: Command[R]) -> R:
        """Passes a command to a loop.

        Raises:
            Moved: the loop is not here; nothing was done.
            FeedbackLoopsError: raised by the command.
        """
        awake = self._use(loop_id)
        if awake is None:
            raise Moved(f"feedback loop {loop_id} is in another process")
        return await awake.call(command)

    async def forget_queued(self, loop_ids: Collection[str]) -> None:
        """Makes loops forget what they have read or were offered, because the ledger has changed it.

        Returns when attempts that began before are recorded. Loops that are not here, or asleep, have read nothing.
        """
        await self._awake.forget_queued(loop_ids)

    def _use(self, loop_id: str) -> AwakeLoop | None:
        """The loop, awake; None when it is not here or about to leave."""
        if loop_id not in self._held or loop_id in self._leaving:
            return None
        return self._awake.use(loop_id)

    def _on_due(self, due: Sequence[str], failing: Sequence[str]) -> None:
        here = self._held.intersection(due)
        self._to_wake = deque()
        for loop_id in here:
            if (awake := self._awake.get(loop_id)) is not None:
                awake.runtime.nudge()
            else:
                self._to_wake.append(loop_id)
        room = max(self._max_awake - len(self._awake) - len(self._to_wake), 0)
        asleep = (loop_id for loop_id in self._held.intersection(failing) - here if self._awake.get(loop_id) is None)
        self._to_wake.extend(islice(asleep, room))
        self._wake_some()
        self._awake.rest(len(self._awake) - self._max_awake)

    def _wake_some(self) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        for _ in range(min(WAKING_AT_ONCE, len(self._to_wake))):
            self._use(self._to_wake.popleft())
        if self._to_wake:
            self._wake_timer = asyncio.get_running_loop().call_later(WAKING_PAUSE_S, self._wake_some)
