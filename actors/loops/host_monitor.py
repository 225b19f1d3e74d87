"""Monitor of one loop host: tracks its state and its loops, and sends it orders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from actors.actor_names import own_loop
from actors.background_task import BackgroundTask
from actors.loops.orders import HostStatus, Order
from actors.loops.placement import NodeCapacity, Slot
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Pause before a host that does not answer is asked again.
RETRY_S: Final = 0.2
#: A host that has not answered for this long hangs: it is killed, and Ray restarts it.
HANGS_S: Final = 30.0
#: The same for a host that is starting, which takes longer on a busy machine.
STARTS_S: Final = 120.0


class HostLauncher(Protocol):
    """Starts and ends loop hosts, and calls them. Raises errors of `domain.errors`."""

    def running(self) -> Iterable[str]:
        """Names of all existing hosts, including those started by others."""
        ...

    def nodes(self) -> list[NodeCapacity]:
        """The machines that are alive now."""
        ...

    async def start(self, name: str, node: str) -> None:
        """Starts a host unless it exists; returns before the host answers."""
        ...

    async def restart(self, name: str) -> None:
        """Kills a host, so that Ray restarts it."""
        ...

    async def end(self, name: str, drain_s: float) -> None:
        """Lets a host finish and record its deliveries in flight within `drain_s`, then ends it for good."""
        ...

    async def status(self, name: str, order: Order) -> HostStatus:
        """Asks for the host's status; afterwards the host accepts no older order than this one."""
        ...

    async def wait_for_end(self, name: str, incarnation: str) -> None:
        """Returns when that incarnation of a host has ended, or may have."""
        ...

    async def assign(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        """Adds loops to a host."""
        ...

    async def release(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        """Removes loops from a host, and returns those that it no longer holds."""
        ...


class HostMonitor(BackgroundTask):
    """Tracks whether a host is up and which loops it holds.

    After a failed order it is unknown whether the host carried it out. The monitor then asks for the status, after
    which the host refuses orders that were overtaken.
    """

    def __init__(
        self, name: str, launcher: HostLauncher, supervisor: str, on_change: Callable[[], None], *, is_unknown: bool
    ) -> None:
        """Knows nothing about the host until `start` is called.

        Args:
            name: the host's.
            launcher: calls the host.
            supervisor: the supervisor's incarnation.
            on_change: called when the host has answered or gone away.
            is_unknown: the host existed before, so it may hold loops.
        """
        self.name = name
        self._launcher = launcher
        self._supervisor = supervisor
        self._on_change = on_change
        #: Whether it may hold loops that it has not reported yet.
        self.is_unknown = is_unknown
        #: Whether it has never answered yet.
        self.is_starting = True
        self.is_up = False
        self._incarnation = ""
        self._node = ""
        #: The actor of a single loop can hold no other.
        self._loops = {loop_id for loop_id in [own_loop(name)] if loop_id and is_unknown}
        #: Loops of the assignments in flight, by sequence number; and of those that failed since the last status.
        self._assigning: dict[int, Sequence[str]] = {}
        self._doubtful: set[str] = set()
        self._sequence = 0
        self._doubt = asyncio.Event()

    @property
    def slot(self) -> Slot:
        return Slot(self.name, self.is_up, self._loops, self._node)

    @property
    def loops(self) -> Collection[str]:
        return self._loops

    async def stop(self) -> None:
        """Stops watching, and counts the host as down."""
        self.is_up = False
        await super().stop()

    async def assign(self, loop_ids: Sequence[str]) -> None:
        """Adds loops, which count as held from now on.

        Raises:
            FeedbackLoopsError: the host may have accepted them or not; its status is requested.
        """
        order = self._order()
        self._assigning[order.sequence] = loop_ids
        self._loops.update(loop_ids)
        try:
            await self._launcher.assign(self.name, order, loop_ids)
        except FeedbackLoopsError:
            self._doubtful.update(loop_ids)
            self._request_status()
            raise
        finally:
            del self._assigning[order.sequence]

    async def release(self, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        """Removes loops, and returns those that the host no longer holds; see `LoopHost.release`.

        Raises:
            FeedbackLoopsError: the host may have released them or not; its status is requested.
        """
        try:
            released = await self._launcher.release(self.name, self._order(), loop_ids, drain_s)
        except FeedbackLoopsError:
            self._request_status()
            raise
        self._loops.difference_update(released)
        return released

    def _order(self) -> Order:
        self._sequence += 1
        return Order(self._incarnation, self._supervisor, self._sequence)

    def _request_status(self) -> None:
        self.is_up = False
        self._doubt.set()

    async def _run(self) -> None:
        silent_since_s = time.monotonic()
        while True:
            self._doubt.clear()
            doubtful, self._doubtful = self._doubtful, set()
            try:
                status = await self._launcher.status(self.name, self._order())
            except FeedbackLoopsError as exc:
                self._doubtful |= doubtful
                if time.monotonic() - silent_since_s > (STARTS_S if self.is_starting else HANGS_S):
                    facts = {"action": "host_hangs", "host": self.name, "error": str(exc)}
                    log.warning("a loop host does not answer and is restarted", extra=facts)
                    await self._restart()
                    silent_since_s = time.monotonic()
                await asyncio.sleep(RETRY_S)
                continue
            self._update(status)
            await self._wait_for_doubt_or_end()
            silent_since_s = time.monotonic()

    def _update(self, status: HostStatus) -> None:
        if status.incarnation != self._incarnation:
            facts = {"action": "host_up", "host": self.name, "loops": len(status.loops)}
            log.info("a loop host is up", extra=facts)
        self._incarnation, self._node = status.incarnation, status.node
        # The status may be older than assignments that were sent after its request.
        self._loops = set(status.loops).union(self._doubtful, *self._assigning.values())
        self.is_unknown = self.is_starting = False
        self.is_up = True
        self._on_change()

    async def _wait_for_doubt_or_end(self) -> None:
        ends = {
            asyncio.create_task(self._doubt.wait(), name="doubt"),
            asyncio.create_task(self._launcher.wait_for_end(self.name, self._incarnation), name="wait for end"),
        }
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        self.is_up = False
        self._on_change()

    async def _restart(self) -> None:
        try:
            await self._launcher.restart(self.name)
        except FeedbackLoopsError as exc:
            facts = {"action": "host_lost", "host": self.name, "error": str(exc)}
            log.warning("a loop host cannot be restarted", extra=facts)
